import { currentTenantSql, DEFAULT_TENANT_COLUMN } from '../../policies/index.js';
import type { RlsOperation } from '../rls-operation.js';
import type { CompositeForeignKeyOptions } from './composite-keys.operation.js';
import { concurrentIndex } from './concurrent-index.operation.js';
import { notNull } from './live-constraints.operation.js';
import { protectTable, type ProtectTableOptions } from './protect-table.operation.js';
import { addNullableColumn, uniqueConstraint } from './unique-constraint.operation.js';
import { validatedForeignKey } from './validated-foreign-key.operation.js';

/** A table in use, with rows and without a tenant column, that is to be protected. */
export interface ProtectExistingTableOptions extends ProtectTableOptions {
  /** The columns of its primary key. Default `['id']`. */
  primaryKey?: readonly string[];
  /**
   * Its relations to other tenant-scoped tables, which have `UNIQUE (tenant_id, id)` by then: their steps up to
   * `constrain` come first.
   */
  foreignKeys?: readonly Omit<CompositeForeignKeyOptions, 'table' | 'tenantColumn'>[];
  /** The columns of further indexes, without the tenant column that each begins with. */
  indexes?: readonly (readonly string[])[];
}

/** The operations of {@link protectExistingTable}: one property, one migration, in this order. */
export interface ExistingTableSteps {
  /** For an RlsMigration: the tenant column, nullable; rows written from now on get the current tenant. */
  addColumn: readonly RlsOperation[];
  /** For a ConcurrentMigration, **after a backfill of the tenant column**: NOT NULL and `UNIQUE (tenant_id, id)`. */
  constrain: readonly RlsOperation[];
  /** For a ConcurrentMigration: composite foreign keys in place of the plain ones. */
  connect: readonly RlsOperation[];
  /** For a ConcurrentMigration: the indexes. */
  index: readonly RlsOperation[];
  /** For an RlsMigration, **once all code runs in a tenant context**: policies, grants, enabled and forced. */
  protect: readonly RlsOperation[];
}

/**
 * What it takes to protect a table that is in use, as operations for a migration each. Every one of them can be deployed
 * on its own, interrupted and reverted; readers and writers go on throughout.
 */
export function protectExistingTable(options: ProtectExistingTableOptions): ExistingTableSteps {
  const { table, tenantIdType, tenantSetting, tenantColumn = DEFAULT_TENANT_COLUMN } = options;
  const { primaryKey = ['id'], foreignKeys = [], indexes = [], ...protection } = options;
  return {
    addColumn: [
      addNullableColumn({
        table,
        column: tenantColumn,
        type: tenantIdType,
        default: currentTenantSql(tenantIdType, tenantSetting),
      }),
    ],
    constrain: [
      notNull({ table, column: tenantColumn }),
      uniqueConstraint({ table, columns: [tenantColumn, ...primaryKey] }),
    ],
    connect: foreignKeys.map((key) => validatedForeignKey({ ...key, table, tenantColumn })),
    index: indexes.map((columns) => concurrentIndex({ table, columns: [tenantColumn, ...columns] })),
    protect: [protectTable(protection)],
  };
}

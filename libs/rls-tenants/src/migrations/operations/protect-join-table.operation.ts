import { RlsConfigurationError } from '../../errors.js';
import {
  DEFAULT_TENANT_COLUMN,
  existsJoinTablePredicate,
  joinTablePolicyName,
  tenantPolicies,
  type ExistsJoinTable,
  type JoinTableSide,
  type PolicyDefinition,
  type ReferentialAction,
  type TenantTable,
} from '../../policies/index.js';
import { protect, unprotect, type Protection } from '../protection.js';
import { operation, sequence, type RlsOperation } from '../rls-operation.js';
import { compositeForeignKey } from './composite-keys.operation.js';
import { addTenantColumn } from './tenant-column.operation.js';
import { tenantIndex } from './tenant-index.operation.js';

/** A side of a join table, with its foreign key and index. The defaults are TypeORM's for a many-to-many relation. */
export interface JoinTableForeignKey extends JoinTableSide {
  /** Default: the name that TypeORM's naming strategy gives the composite foreign key. */
  name?: string;
  /** The plain foreign key that the composite one takes the place of. Default `true`: the one that TypeORM named. */
  replaces?: boolean | string;
  /** The index on the side's columns that one with the tenant column takes the place of. Default `true`: TypeORM's. */
  replacesIndex?: boolean | string;
  /** Default `'CASCADE'`. */
  onDelete?: ReferentialAction;
  /** Default `'CASCADE'`. */
  onUpdate?: ReferentialAction;
}

interface JoinTableOptions extends Omit<ExistsJoinTable, 'sides'> {
  /** The login that serves requests. */
  appRole: string;
}

type OwnColumn = Pick<TenantTable, 'tenantColumn' | 'readableBySet' | 'sharedTenant'>;

/**
 * A join table to protect, in one of three forms:
 *
 * - `'add-column'`: it gets a tenant column of its own, filled from the first side, and composite foreign keys to its
 *   sides, which need `UNIQUE (tenant_id, id)` first ({@link compositeUnique}). Name the tenant-scoped sides; for another
 *   side, add a {@link tenantIndex}.
 * - `'existing-column'`: it was created with tenant column and composite foreign keys.
 * - `'exists'`: its shape cannot change; it is protected through its sides, which is much slower.
 */
export type ProtectJoinTableOptions = JoinTableOptions &
  (
    | (OwnColumn & { form?: 'add-column'; sides: readonly JoinTableForeignKey[] })
    | (OwnColumn & { form: 'existing-column' })
    | { form: 'exists'; sides: readonly JoinTableSide[] }
  );

/** Protects a join table; see {@link ProtectJoinTableOptions}. `down` restores its shape, grants and foreign keys. */
export function protectJoinTable(options: ProtectJoinTableOptions): RlsOperation {
  const policyName = joinTablePolicyName(options.joinTable);
  if (options.form === 'exists')
    return protectWith(options, [{ name: policyName, predicate: existsJoinTablePredicate(options) }]);
  const table: TenantTable = { ...options, table: options.joinTable };
  const protectOwnColumn = protectWith(options, tenantPolicies(table, policyName), table);
  if (options.form === 'existing-column') return protectOwnColumn;
  const [first] = options.sides;
  if (!first) {
    throw new RlsConfigurationError(
      `Join table "${options.joinTable}" has no sides.`,
      'Name the tenant-scoped tables that it joins.',
    );
  }
  const tenantColumn = options.tenantColumn ?? DEFAULT_TENANT_COLUMN;
  return sequence(`add a tenant column to join table "${options.joinTable}" and protect it`, [
    addTenantColumn({ ...table, fill: { from: first } }),
    ...options.sides.flatMap((side) => [
      joinForeignKey(options.joinTable, tenantColumn, side),
      tenantIndex({
        table: options.joinTable,
        tenantColumn,
        columns: side.columns.map(({ column }) => column),
        replaces: side.replacesIndex ?? true,
      }),
    ]),
    protectOwnColumn,
  ]);
}

function joinForeignKey(joinTable: string, tenantColumn: string, side: JoinTableForeignKey): RlsOperation {
  return compositeForeignKey({
    replaces: true,
    onDelete: 'CASCADE',
    onUpdate: 'CASCADE',
    ...(side.name !== undefined && { name: side.name }),
    ...(side.replaces !== undefined && { replaces: side.replaces }),
    ...(side.onDelete && { onDelete: side.onDelete }),
    ...(side.onUpdate && { onUpdate: side.onUpdate }),
    table: joinTable,
    tenantColumn,
    columns: side.columns,
    referencedTable: side.table,
    referencedTenantColumn: side.tenantColumn ?? DEFAULT_TENANT_COLUMN,
  });
}

function protectWith(
  options: JoinTableOptions,
  policies: readonly [PolicyDefinition, ...PolicyDefinition[]],
  tenantColumn?: TenantTable,
): RlsOperation {
  const protection: Protection = {
    table: options.joinTable,
    policies,
    adminRole: options.adminRole,
    appRole: options.appRole,
    ...(tenantColumn && { tenantColumn }),
    sealed: options.sealed,
    tenantSetting: options.tenantSetting,
  };
  return operation(
    `protect join table "${options.joinTable}"`,
    (queryRunner) => protect(queryRunner, protection),
    (queryRunner) => unprotect(queryRunner, protection),
  );
}

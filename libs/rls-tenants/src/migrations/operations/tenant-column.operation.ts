import type { TenantId } from '../../context/tenant-id.js';
import {
  addTenantColumnSql,
  dropTenantColumnSql,
  fillTenantFromSideSql,
  fillTenantWithSql,
  setTenantDefaultSql,
  setTenantNotNullSql,
  type JoinTableSide,
  type TenantTable,
} from '../../policies/index.js';
import { withAllRows } from '../admission.js';
import { operation, runAll, type RlsOperation } from '../rls-operation.js';

/** A tenant column to add. */
export interface AddTenantColumnOptions extends Omit<TenantTable, 'adminRole'> {
  /**
   * Whose the existing rows are: the tenant of the row that a foreign key names, or one tenant. Without it the table
   * must be empty.
   */
  fill?: { readonly from: JoinTableSide } | { readonly tenantId: TenantId };
}

/**
 * Adds the tenant column, fills it in one UPDATE, makes it NOT NULL, and makes the tenant setting its default. `down`
 * drops it.
 *
 * @throws RlsConfigurationError if row-level security hides rows from the migration's role; PostgreSQL's 23502 if a row
 * stays without a tenant.
 */
export function addTenantColumn(options: AddTenantColumnOptions): RlsOperation {
  return operation(
    `add the tenant column of table "${options.table}"`,
    async (queryRunner) => {
      await queryRunner.query(addTenantColumnSql(options));
      const { fill } = options;
      if (fill) {
        const tables = 'from' in fill ? [options.table, fill.from.table] : [options.table];
        const sql =
          'from' in fill
            ? fillTenantFromSideSql(options, fill.from)
            : fillTenantWithSql(options, fill.tenantId);
        await withAllRows(queryRunner, tables, () => runAll(queryRunner, [sql]));
      }
      await runAll(queryRunner, [setTenantNotNullSql(options), setTenantDefaultSql(options)]);
    },
    (queryRunner) => runAll(queryRunner, [dropTenantColumnSql(options)]),
  );
}

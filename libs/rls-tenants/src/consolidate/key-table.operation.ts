import type { BackfillProgressTableOptions } from '../backfill/index.js';
import { protectTable, runSql, type RlsOperation } from '../migrations/index.js';
import { sequence } from '../migrations/rls-operation.js';
import { checkTenantIdType, quoteIdentifier } from '../policies/index.js';
import { KEY_TABLE } from './consolidate.sql.js';

/** The settings that the tenants' tables are protected with. */
export type ConsolidatedKeyTableOptions = BackfillProgressTableOptions;

/**
 * The table `rls_consolidated_key`, in which `consolidate-schemas --renumber` keeps which new key each old one became,
 * for links and exports that still name the old ones. It is protected like any tenant's table. `down` drops it.
 */
export function consolidatedKeyTable(options: ConsolidatedKeyTableOptions): RlsOperation {
  const table = quoteIdentifier(KEY_TABLE);
  return sequence(`create table "${KEY_TABLE}"`, [
    runSql(
      `CREATE TABLE ${table} (
        tenant_id ${checkTenantIdType(options.tenantIdType)} NOT NULL,
        table_name text NOT NULL,
        old_key bigint NOT NULL,
        new_key bigint NOT NULL,
        PRIMARY KEY (tenant_id, table_name, old_key)
      )`,
      `DROP TABLE ${table}`,
    ),
    protectTable({ ...options, table: KEY_TABLE }),
  ]);
}

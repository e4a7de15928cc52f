import type { TenantIdType } from '../context/tenant-id.js';
import { protectTable, runSql, type ProtectTableOptions, type RlsOperation } from '../migrations/index.js';
import { sequence } from '../migrations/rls-operation.js';
import { quoteIdentifier } from '../policies/index.js';
import { PROGRESS_TABLE } from './backfill.sql.js';

/** The settings that the tenants' tables are protected with. */
export type BackfillProgressTableOptions = Omit<ProtectTableOptions, 'table' | 'tenantColumn'>;

/** `tenantIdType` reaches SQL only through this. */
const COLUMN_TYPES: Readonly<Record<TenantIdType, string>> = {
  uuid: 'uuid',
  integer: 'integer',
  bigint: 'bigint',
  text: 'text',
};

/**
 * The table `rls_backfill_progress`, in which backfills remember how far they are: one row per backfill and tenant. It
 * is protected like any tenant's table, so that a worker reaches its tenant's progress only. `down` drops it.
 */
export function backfillProgressTable(options: BackfillProgressTableOptions): RlsOperation {
  const table = quoteIdentifier(PROGRESS_TABLE);
  return sequence(`create table "${PROGRESS_TABLE}"`, [
    runSql(
      `CREATE TABLE ${table} (
        tenant_id ${COLUMN_TYPES[options.tenantIdType]} NOT NULL,
        backfill text NOT NULL,
        cursor text[],
        rows_done bigint NOT NULL DEFAULT 0,
        rows_skipped bigint NOT NULL DEFAULT 0,
        state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done')),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, backfill)
      )`,
      `DROP TABLE ${table}`,
    ),
    protectTable({ ...options, table: PROGRESS_TABLE }),
  ]);
}

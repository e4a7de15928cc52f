import { quoteIdentifier, quoteTable } from '../policies/index.js';
import type { CheckedBackfill } from './backfill-definition.js';
import type { BackfillTable } from './backfill-table.js';

/** Where progress is kept: one row per backfill and tenant, protected like the tenants' own rows. */
export const PROGRESS_TABLE = 'rls_backfill_progress';
const PROGRESS = quoteIdentifier(PROGRESS_TABLE);

/** `$1` backfill, `$2` tenant: the tenant's progress begins, unless it has. */
export const BEGIN_PROGRESS = `INSERT INTO ${PROGRESS} (backfill, tenant_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`;

/**
 * `$1` backfill, `$2` tenant, `$3` lock timeout: claims the tenant until the transaction ends. No row means that another
 * worker has it. The lock on this row, not the claim's owner, is what makes each row change once.
 */
export const CLAIM = `SELECT cursor, state = 'done' AS done, set_config('lock_timeout', $3, true)
FROM ${PROGRESS} WHERE backfill = $1 AND tenant_id = $2 FOR NO KEY UPDATE SKIP LOCKED`;

/**
 * `$1` backfill, `$2` tenant, `$3` cursor or NULL to leave it, `$4` and `$5` rows done and skipped, `$6` state.
 *
 * Rows are locked until the commit is through, which on a busy disk took longer than the rows did. So no commit waits for
 * the disk but a tenant's last, which brings all before it there: what a crash of the server takes are whole batches,
 * their cursor included, of tenants that are not finished.
 */
export const ADVANCE = `UPDATE ${PROGRESS} SET cursor = coalesce($3::text[], cursor), rows_done = rows_done + $4,
  rows_skipped = rows_skipped + $5, state = $6, updated_at = now() WHERE backfill = $1 AND tenant_id = $2
RETURNING CASE WHEN state = 'running' THEN set_config('synchronous_commit', 'off', true) END`;

/** `$1` backfill: what is kept of it, over all tenants that the context sees. */
export const SUMMARY = `SELECT count(*)::int AS tenants, count(*) FILTER (WHERE state = 'done')::int AS "tenantsDone",
  coalesce(sum(rows_done), 0)::float8 AS "rowsDone", coalesce(sum(rows_skipped), 0)::float8 AS "rowsSkipped"
FROM ${PROGRESS} WHERE backfill = $1`;

/**
 * `$1` table, `$2` tenant column. `confined` is whether row-level security holds the current role to one tenant: it is
 * active, and no unconditional policy lets the role change all rows.
 */
export const TABLE_SHAPE = `
SELECT current_user::text AS role, greatest(c.reltuples, 0)::float8 AS "estimatedRows",
  row_security_active(c.oid) AND NOT EXISTS (
    SELECT FROM pg_policy WHERE polrelid = c.oid AND polpermissive AND polcmd IN ('*', 'w')
      AND pg_get_expr(polqual, polrelid) = 'true' AND EXISTS (SELECT FROM unnest(polroles) AS member WHERE member = 0 OR pg_has_role(member, 'USAGE'))
  ) AS confined,
  (SELECT format_type(atttypid, atttypmod) FROM pg_attribute
   WHERE attrelid = c.oid AND attname = $2 AND attnum > 0 AND NOT attisdropped) AS "tenantType",
  (SELECT json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod)) ORDER BY n)
   FROM pg_index, unnest(indkey) WITH ORDINALITY AS k(num, n), pg_attribute
   WHERE indrelid = c.oid AND indisprimary AND attrelid = c.oid AND attnum = num) AS key
FROM pg_class c WHERE c.oid = to_regclass($1)`;

/** The tenants that have rows, one after the other along the index that leads with the tenant column. */
export function tenantsSql({ table, tenantColumn }: CheckedBackfill): string {
  const [from, tenant] = [quoteTable(table), quoteIdentifier(tenantColumn)];
  return `WITH RECURSIVE tenant(id) AS (
  (SELECT ${tenant} FROM ${from} WHERE ${tenant} IS NOT NULL ORDER BY ${tenant} LIMIT 1)
  UNION ALL
  SELECT (SELECT ${tenant} FROM ${from} WHERE ${tenant} > tenant.id ORDER BY ${tenant} LIMIT 1)
  FROM tenant WHERE tenant.id IS NOT NULL
) SELECT id::text AS id FROM tenant WHERE id IS NOT NULL`;
}

/** The keys of the first rows that belong to no tenant. */
export function rowsWithoutTenantSql(definition: CheckedBackfill, { key }: BackfillTable): string {
  return `SELECT ${cursorSql(key.map(({ name }) => quoteIdentifier(name)))} AS key FROM ${quoteTable(definition.table)}
WHERE ${quoteIdentifier(definition.tenantColumn)} IS NULL LIMIT 5`;
}

/** `$1` tenant: whether it has rows. */
export function hasRowsSql({ table, tenantColumn }: CheckedBackfill, { tenantType }: BackfillTable): string {
  return `SELECT EXISTS (SELECT FROM ${quoteTable(table)} WHERE ${quoteIdentifier(tenantColumn)} = $1::${tenantType}) AS found`;
}

/** How many rows the table has, counted no further than `$1`: what a backfill reads, whatever its `where` says. */
export function countSql({ table }: CheckedBackfill): string {
  return `SELECT count(*)::int AS count FROM (SELECT FROM ${quoteTable(table)} LIMIT $1) AS row`;
}

/** A statement and what its parameters stand for. */
export interface Statement {
  text: string;
  values: unknown[];
}

/** Which rows a batch takes. */
export interface BatchRows {
  tenantId: string;
  limit: number;
}

/** Locks and changes the next batch in one statement, which returns `locked`, `changed` and the last row's `cursor`. */
export function setBatchSql(
  definition: CheckedBackfill,
  table: BackfillTable,
  rows: BatchRows,
  cursor: readonly string[] | null,
): Statement {
  return setSql(definition, table, rows, cursor, 'true');
}

/**
 * {@link setBatchSql} without the change. It is the same statement otherwise, so that what is wrong with its words or its
 * parameters, and not with a row, fails here too.
 */
export function findRowsSql(
  definition: CheckedBackfill,
  table: BackfillTable,
  rows: BatchRows,
  cursor: readonly string[] | null,
): Statement {
  return setSql(definition, table, rows, cursor, 'false');
}

function setSql(
  definition: CheckedBackfill,
  table: BackfillTable,
  rows: BatchRows,
  cursor: readonly string[] | null,
  change: 'true' | 'false',
): Statement {
  const from = quoteTable(definition.table);
  // The expressions name the table's columns without a qualifier: the batch's own names must not collide with them.
  const aliases = table.key.map((_, index) => `"$key${index}"`);
  const columns = table.key.map(({ name }, index) => `${quoteIdentifier(name)} AS ${aliases[index]}`);
  const { text, values } = nextRows(definition, table, rows, cursor, columns.join(', '));
  const set = Object.entries(definition.set!).map(
    ([column, expression]) => `${quoteIdentifier(column)} = (${expression})`,
  );
  const same = table.key.map(({ name }, index) => `${from}.${quoteIdentifier(name)} = ${aliases[index]}`);
  return {
    text: `WITH "$batch" AS MATERIALIZED (
  ${text}
), "$changed" AS (
  UPDATE ${from} SET ${set.join(', ')} FROM "$batch"
  WHERE ${from}.${quoteIdentifier(definition.tenantColumn)} = ${tenantParameter(definition, table)} AND ${same.join(' AND ')} AND ${change}
  RETURNING 1
)
SELECT (SELECT count(*)::int FROM "$batch") AS locked, (SELECT count(*)::int FROM "$changed") AS changed,
  (SELECT ${cursorSql(aliases)} FROM "$batch" ORDER BY ${aliases.map((alias) => `${alias} DESC`).join(', ')} LIMIT 1) AS cursor`,
    values,
  };
}

/** Locks and reads the next batch, each row with its `$cursor`. */
export function eachBatchSql(
  definition: CheckedBackfill,
  table: BackfillTable,
  rows: BatchRows,
  cursor: readonly string[] | null,
): Statement {
  const chosen = definition.set ? undefined : definition.columns?.map(quoteIdentifier).join(', ');
  const key = cursorSql(table.key.map(({ name }) => quoteIdentifier(name)));
  return nextRows(definition, table, rows, cursor, `${chosen ?? '*'}, ${key} AS "$cursor"`);
}

/**
 * The rows after the cursor, locked so that nobody else changes them while foreign keys may still refer to them. The
 * tenant is named beside the policy, because other policies may admit shared rows, which belong to one tenant's turn.
 */
function nextRows(
  definition: CheckedBackfill,
  table: BackfillTable,
  { tenantId, limit }: BatchRows,
  cursor: readonly string[] | null,
  columns: string,
): Statement {
  const { parameters, tenantColumn, where } = definition;
  const key = table.key.map(({ name }) => quoteIdentifier(name));
  const first = parameters.length + 2;
  const last = table.key.map(({ type }, index) => `$${first + index}::${type}`);
  const conditions = [
    `${quoteIdentifier(tenantColumn)} = ${tenantParameter(definition, table)}`,
    ...(cursor === null ? [] : [`(${key.join(', ')}) > (${last.join(', ')})`]),
    ...(where === undefined ? [] : [`(${where})`]),
  ];
  return {
    text: `SELECT ${columns} FROM ${quoteTable(definition.table)} WHERE ${conditions.join(' AND ')}
  ORDER BY ${key.join(', ')} LIMIT ${limit} FOR NO KEY UPDATE`,
    values: [...parameters, tenantId, ...(cursor ?? [])],
  };
}

function tenantParameter({ parameters }: CheckedBackfill, { tenantType }: BackfillTable): string {
  return `$${parameters.length + 1}::${tenantType}`;
}

function cursorSql(key: readonly string[]): string {
  return `ARRAY[${key.map((column) => `${column}::text`).join(', ')}]`;
}

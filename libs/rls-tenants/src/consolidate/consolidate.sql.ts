import { PROGRESS_TABLE } from '../backfill/backfill.sql.js';
import { quoteIdentifier } from '../policies/index.js';

/** Where the new keys of renumbered rows are kept: one row per table, tenant and old key. */
export const KEY_TABLE = 'rls_consolidated_key';
const KEYS = quoteIdentifier(KEY_TABLE);

/** All schemas, and whether the current role may look into them. */
export const SCHEMAS = `SELECT nspname::text AS name, has_schema_privilege(oid, 'USAGE') AS usable FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY nspname`;

/** `$1` quoted tables: those that exist, with their columns and primary key. */
export const TABLES = `
SELECT name AS "table", has_table_privilege(c.oid, 'SELECT') AS readable, row_security_active(c.oid) AS hidden,
  (SELECT nspname::text FROM pg_namespace n WHERE n.oid = relnamespace) AS schema,
  (SELECT json_agg(json_build_object(
     'name', attname, 'type', format_type(atttypid, atttypmod), 'baseType', format_type(atttypid, NULL), 'typmod', atttypmod,
     'notNull', attnotnull, 'hasDefault', atthasdef OR attidentity <> '', 'generated', attgenerated <> '',
     'array', typcategory = 'A', 'labels', ARRAY(SELECT enumlabel::text FROM pg_enum
       WHERE enumtypid = CASE WHEN typcategory = 'A' THEN typelem ELSE t.oid END ORDER BY enumsortorder),
     'sequence', pg_get_serial_sequence(name, attname)) ORDER BY attnum)
   FROM pg_attribute JOIN pg_type t ON t.oid = atttypid
   WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns,
  ARRAY(SELECT attname::text FROM pg_index, unnest(indkey) WITH ORDINALITY AS k(num, n), pg_attribute
   WHERE indrelid = c.oid AND indisprimary AND attrelid = c.oid AND attnum = num ORDER BY n) AS key
FROM unnest($1::text[]) AS name JOIN pg_class c ON c.oid = to_regclass(name) AND relkind IN ('r', 'p')`;

const columnsOf = (keys: string, relation: string) =>
  `ARRAY(SELECT attname::text FROM unnest(${keys}) WITH ORDINALITY AS k(num, n)
    JOIN pg_attribute ON attrelid = ${relation} AND attnum = num ORDER BY n)`;

/** `$1` quoted tables: their foreign keys. `referencedTable` is spelled as in `$1` where it is one of them. */
export const FOREIGN_KEYS = `
SELECT conname::text AS name, source.name AS "table", coalesce(target.name, confrelid::regclass::text) AS "referencedTable",
  ${columnsOf('conkey', 'conrelid')} AS columns, ${columnsOf('confkey', 'confrelid')} AS "referencedColumns"
FROM pg_constraint JOIN unnest($1::text[]) AS source(name) ON conrelid = to_regclass(source.name)
LEFT JOIN unnest($1::text[]) AS target(name) ON confrelid = to_regclass(target.name)
WHERE contype = 'f' ORDER BY source.name, conname`;

/** `$1` quoted tables: their unique indexes on plain columns, over all rows. */
export const UNIQUE_INDEXES = `
SELECT name AS "table", indexrelid::regclass::text AS index, ${columnsOf('(indkey::int2[])[0:indnkeyatts - 1]', 'indrelid')} AS columns
FROM unnest($1::text[]) AS name JOIN pg_index ON indrelid = to_regclass(name)
WHERE indisunique AND indpred IS NULL AND indexprs IS NULL ORDER BY name, indexrelid::regclass::text`;

/** `$1` schema, `$2` tables of it: the tables that are not among them. */
export const OTHER_TABLES = `SELECT relname::text AS name FROM pg_class
WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> ALL ($2) ORDER BY relname`;

/** `$1` quoted table: whether it exists. */
export const EXISTS = 'SELECT to_regclass($1) IS NOT NULL AS exists';

/** `$1` sequence, `$2` the largest value in use: never sets a sequence back. */
export const ADVANCE_SEQUENCE = 'SELECT setval($1::regclass, $2::bigint)';

/** The last value that a sequence gave out; one that was never asked has given out none. */
export function lastValueSql(sequence: string): string {
  return `SELECT (last_value - CASE WHEN is_called THEN 0 ELSE 1 END)::text AS last FROM ${sequence}`;
}

/** What is begun or done, of all consolidations. */
export const PROGRESS = `SELECT backfill AS name, tenant_id::text AS "tenantId", state = 'done' AS done
FROM ${quoteIdentifier(PROGRESS_TABLE)} WHERE backfill LIKE 'consolidate %'`;

/** A column of a row that is copied: its name in the protected table, and the SQL that makes it of the old row `s`. */
export interface CopiedColumn {
  readonly name: string;
  readonly sql: string;
}

/** How the rows of one old table become rows of the protected one. `$1` is the tenant in every expression. */
export interface RowCopy {
  /** The old table, quoted. */
  readonly source: string;
  /** The protected table, quoted. */
  readonly target: string;
  readonly tenantColumn: string;
  readonly tenantType: string;
  /** The old table's primary key. */
  readonly key: readonly { readonly name: string; readonly type: string }[];
  readonly columns: readonly CopiedColumn[];
}

/** The SQL of a row's own new key: `$1` is the tenant. NULL, which no key takes, for a row that came after the numbering. */
export function newKeySql(tableLiteral: string, columnSql: string, tenantType: string): string {
  return `(SELECT new_key FROM ${KEYS} AS k WHERE k.tenant_id = $1::${tenantType} AND k.table_name = ${tableLiteral} AND k.old_key = ${columnSql})`;
}

/**
 * The SQL of a reference to a renumbered row: `$1` is the tenant. Where that row has no new key it is one that no row
 * has: the foreign key refuses it, where NULL would lose the reference in silence.
 */
export function newReferenceSql(tableLiteral: string, columnSql: string, tenantType: string): string {
  return `CASE WHEN ${columnSql} IS NOT NULL THEN coalesce(${newKeySql(tableLiteral, columnSql, tenantType)}, -1) END`;
}

/** The next rows of the old table, as `s` of what follows: `$2`, … are the cursor's parts. */
function nextRows({ source, key }: RowCopy, batchSize: number, cursor: readonly string[] | null): string {
  const columns = key.map(({ name }) => quoteIdentifier(name)).join(', ');
  const after = key.map(({ type }, index) => `$${index + 2}::${type}`).join(', ');
  const where = cursor === null ? '' : ` WHERE (${columns}) > (${after})`;
  return `SELECT * FROM ${source}${where} ORDER BY ${columns} LIMIT ${batchSize}`;
}

/** What every batch returns: rows `read`, rows `written`, and the last one's `cursor`. */
function batchResult({ key }: RowCopy, read: string): string {
  const columns = key.map(({ name }) => quoteIdentifier(name));
  return `SELECT (SELECT count(*)::int FROM batch AS s${read}) AS read, (SELECT count(*)::int FROM batch) AS size,
  (SELECT count(*)::int FROM written) AS written,
  (SELECT ARRAY[${columns.map((column) => `${column}::text`).join(', ')}] FROM batch
   ORDER BY ${columns.map((column) => `${column} DESC`).join(', ')} LIMIT 1) AS cursor`;
}

/** Copies the next batch. Without ON CONFLICT: a collision is an error, never a row that silently stays behind. */
export function copyBatchSql(copy: RowCopy, batchSize: number, cursor: readonly string[] | null): string {
  const names = [copy.tenantColumn, ...copy.columns.map(({ name }) => name)].map(quoteIdentifier);
  const values = [`$1::${copy.tenantType}`, ...copy.columns.map(({ sql }) => sql)];
  return `WITH batch AS MATERIALIZED (${nextRows(copy, batchSize, cursor)}), written AS (
  INSERT INTO ${copy.target} (${names.join(', ')}) OVERRIDING SYSTEM VALUE SELECT ${values.join(', ')} FROM batch AS s RETURNING 1
) ${batchResult(copy, '')}`;
}

/** Fills the deferred columns of the next batch, whose rows are all copied. */
export function fillBatchSql(
  copy: RowCopy,
  deferred: readonly CopiedColumn[],
  batchSize: number,
  cursor: readonly string[] | null,
): string {
  const key = copy.key.map(({ name }) => copy.columns.find((column) => column.name === name)!);
  const filled = deferred.map(({ name }) => `s.${quoteIdentifier(name)} IS NOT NULL`).join(' OR ');
  const same = key.map(({ name }, index) => `t.${quoteIdentifier(name)} = v.k${index}`);
  const values = [
    ...key.map(({ sql }, index) => `${sql} AS k${index}`),
    ...deferred.map(({ sql }, index) => `${sql} AS d${index}`),
  ];
  return `WITH batch AS MATERIALIZED (${nextRows(copy, batchSize, cursor)}), written AS (
  UPDATE ${copy.target} AS t SET ${deferred.map(({ name }, index) => `${quoteIdentifier(name)} = v.d${index}`).join(', ')}
  FROM (SELECT ${values.join(', ')} FROM batch AS s WHERE ${filled}) AS v
  WHERE t.${quoteIdentifier(copy.tenantColumn)} = $1::${copy.tenantType} AND ${same.join(' AND ')} RETURNING 1
) ${batchResult(copy, ` WHERE ${filled}`)}`;
}

/** Gives the keys of the next batch new ones, of the protected table's sequence. */
export function numberBatchSql(
  copy: RowCopy,
  tableLiteral: string,
  sequenceLiteral: string,
  batchSize: number,
  cursor: readonly string[] | null,
): string {
  return `WITH batch AS MATERIALIZED (${nextRows(copy, batchSize, cursor)}), written AS (
  INSERT INTO ${KEYS} (tenant_id, table_name, old_key, new_key)
  SELECT $1::${copy.tenantType}, ${tableLiteral}, s.${quoteIdentifier(copy.key[0]!.name)}, nextval(${sequenceLiteral}) FROM batch AS s RETURNING 1
) ${batchResult(copy, '')}`;
}

/**
 * Rows and checksums of one tenant in the old table and in the protected one, in one statement and so at one moment.
 * The checksum does not depend on the rows' order: the sum of 64-bit hashes of what each row prints as.
 */
export function compareSql({ source, target, tenantColumn, tenantType, columns }: RowCopy): string {
  const sums = (alias: string, values: readonly string[]) =>
    `SELECT count(*)::text AS rows, coalesce(sum(hashtextextended(ROW(${values.join(', ')})::text, 0)), 0)::text AS checksum FROM ${alias}`;
  const old = sums(
    `${source} AS s`,
    columns.map(({ sql }) => sql),
  );
  const copied = sums(
    `${target} AS t WHERE t.${quoteIdentifier(tenantColumn)} = $1::${tenantType}`,
    columns.map(({ name }) => `t.${quoteIdentifier(name)}`),
  );
  return `SELECT old.rows AS "oldRows", old.checksum AS "oldChecksum", copied.rows AS "newRows", copied.checksum AS "newChecksum"
FROM (${old}) AS old, (${copied}) AS copied`;
}

/** How many rows an old table has, and how many NULLs in each of the columns. */
export function countSql(table: string, columns: readonly string[]): string {
  const nulls = columns.map((column) => `count(*) FILTER (WHERE ${quoteIdentifier(column)} IS NULL)`);
  return `SELECT count(*)::text AS count, ARRAY[${nulls.join(', ')}]::text[] AS nulls FROM ${table}`;
}

/** `$1` tenant: whether the protected table has rows of it. */
export function hasRowsSql({ target, tenantColumn, tenantType }: RowCopy): string {
  return `SELECT EXISTS (SELECT FROM ${target} WHERE ${quoteIdentifier(tenantColumn)} = $1::${tenantType}) AS found`;
}

/** `$1` tenant: how many rows of an old table that has a tenant column already name another tenant. */
export function otherTenantsSql({ source, tenantColumn, tenantType }: RowCopy): string {
  return `SELECT count(*)::text AS count FROM ${source} AS s WHERE s.${quoteIdentifier(tenantColumn)}::text IS DISTINCT FROM $1::${tenantType}::text`;
}

/** The largest value of a column, over all tenants. */
export function largestSql(table: string, column: string): string {
  return `SELECT max(${quoteIdentifier(column)})::text AS largest FROM ${table}`;
}

/** `$1` tenant: rows whose reference, as it would be copied, finds no row. */
export function danglingSql(
  { source, tenantType }: RowCopy,
  references: readonly { readonly sql: string; readonly referenced: string }[],
  referencedTable: string,
): string {
  const present = references.map(({ sql }) => `${sql} IS NOT NULL`).join(' AND ');
  const same = references
    .map(({ sql, referenced }) => `r.${quoteIdentifier(referenced)} = ${sql}`)
    .join(' AND ');
  return `SELECT count(*)::text AS count FROM ${source} AS s
WHERE $1::${tenantType} IS NOT NULL AND ${present} AND NOT EXISTS (SELECT FROM ${referencedTable} AS r WHERE ${same})`;
}

/** Keys that more than one of the old tables has; at most three, as text, with the tables' positions. */
export function collisionsSql(
  sources: readonly { readonly table: string; readonly columns: readonly string[] }[],
): string {
  const keys = sources.map(({ table, columns }, index) => {
    const names = columns.map(quoteIdentifier);
    const present = names.map((name) => `${name} IS NOT NULL`).join(' AND ');
    return `SELECT ${index} AS n, concat_ws(', ', ${names.join(', ')}) AS key, ROW(${names.join(', ')})::text AS row FROM ${table} WHERE ${present}`;
  });
  return `SELECT min(key) AS key, min(n) AS first, max(n) AS second FROM (${keys.join(' UNION ALL ')}) AS k
GROUP BY row HAVING count(*) > 1 ORDER BY min(key) LIMIT 3`;
}

/** `$1` tenant: keys of an old table that rows of other tenants in the protected table have; at most three. */
export function takenSql(
  { source, target, tenantColumn, tenantType }: RowCopy,
  columns: readonly CopiedColumn[],
): string {
  const same = columns.map(({ name, sql }) => `t.${quoteIdentifier(name)} = ${sql}`).join(' AND ');
  const key = columns.map(({ name }) => `t.${quoteIdentifier(name)}`).join(', ');
  return `SELECT concat_ws(', ', ${key}) AS key FROM ${source} AS s JOIN ${target} AS t ON ${same}
WHERE t.${quoteIdentifier(tenantColumn)} <> $1::${tenantType} ORDER BY 1 LIMIT 3`;
}

/** A table of an old or of the protected schema, quoted. */
export function tableIn(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

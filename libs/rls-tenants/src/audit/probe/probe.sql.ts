import { quoteIdentifier, quoteLiteral } from '../../policies/index.js';

// The statements of the probe. Names are quoted, values are parameters. Each is bounded: EXISTS, LIMIT, or one row.
// `relation` is a quoted name, `column` the plain name of a tenant column.

/** The role that a transaction runs as, and whether policies hold for it. */
export const IDENTITY_SQL = `
  SELECT rolname::text AS role, rolsuper AS superuser
    FROM pg_catalog.pg_roles WHERE rolname = current_user`;

/** $1 names of settings. Those that have a value. */
export const SETTING_VALUES_SQL = `
  SELECT name FROM unnest($1::text[]) AS setting(name)
   WHERE nullif(pg_catalog.current_setting(name, true), '') IS NOT NULL`;

/** For FROM: the rows of a relation without those of the tenants whose rows are everybody's. */
export function withoutTenantsSql(relation: string, column: string, tenants: readonly string[]): string {
  if (tenants.length === 0) return relation;
  const conditions = tenants.map((tenant) => `${quoteIdentifier(column)} <> ${quoteLiteral(tenant)}`);
  return `(SELECT * FROM ${relation} WHERE ${conditions.join(' AND ')}) AS owned`;
}

/** Any row. */
export function anyRowSql(relation: string): string {
  return `SELECT EXISTS (SELECT FROM ${relation}) AS seen`;
}

/** Any row that names a tenant. */
export function anyTenantsRowSql(relation: string, column: string): string {
  return `SELECT EXISTS (SELECT FROM ${relation} WHERE ${quoteIdentifier(column)} IS NOT NULL) AS seen`;
}

/** Reads nothing. With `row_security = off` it raises 42501 if and only if policies hold for the role. */
export function noRowSql(relation: string): string {
  return `SELECT 1 FROM ${relation} LIMIT 0`;
}

/** A row of one tenant. $1 the tenant. */
export function rowOfSql(relation: string, column: string): string {
  return `SELECT EXISTS (SELECT FROM ${relation} WHERE ${quoteIdentifier(column)} = $1) AS seen`;
}

/**
 * A row that is not of one tenant. $1 the tenant. Less and greater, because with the policy's equality an index finds
 * them contradictory at once, where `<>` would read all rows of the tenant.
 *
 * @param nobodys rows without a tenant count, too.
 */
export function rowOfOthersSql(relation: string, column: string, nobodys = true): string {
  const name = quoteIdentifier(column);
  const exists = (condition: string) => `EXISTS (SELECT FROM ${relation} WHERE ${name} ${condition})`;
  const others = `${exists('< $1')} OR ${exists('> $1')}`;
  return `SELECT ${others}${nobodys ? ` OR ${exists('IS NULL')}` : ''} AS seen`;
}

/** A row of one tenant that can be locked. $1 the tenant. */
export function lockRowOfSql(relation: string, column: string): string {
  return `SELECT 1 FROM ${relation} WHERE ${quoteIdentifier(column)} = $1 LIMIT 1 FOR UPDATE SKIP LOCKED`;
}

/** The least and the greatest tenant with rows, as text. */
export function tenantsOfSql(relation: string, column: string): string {
  const name = quoteIdentifier(column);
  const end = (direction: string) =>
    `(SELECT ${name}::text FROM ${relation} WHERE ${name} IS NOT NULL ORDER BY ${name} ${direction} LIMIT 1)`;
  return `SELECT ${end('ASC')} AS least, ${end('DESC')} AS greatest`;
}

/** Some values of a column, as text. */
export function someValuesSql(relation: string, column: string): string {
  const name = quoteIdentifier(column);
  return `SELECT ${name}::text AS value FROM ${relation} WHERE ${name} IS NOT NULL LIMIT 20`;
}

/** How many rows a digest looks at. */
export const DIGEST_ROWS = 1000;

/** A digest of what a view shows, whatever its columns are, and of how many rows. */
export function digestSql(relation: string): string {
  return `
    SELECT count(*)::int AS rows, md5(coalesce(string_agg(line, ',' ORDER BY line), '')) AS digest
      FROM (SELECT shown::text AS line FROM ${relation} AS shown LIMIT ${DIGEST_ROWS + 1}) AS lines`;
}

/** Digests of some rows. */
export function rowDigestsSql(relation: string): string {
  return `SELECT md5(shown::text) AS digest FROM ${relation} AS shown LIMIT 20`;
}

/** $1 digests of rows. */
export function rowAmongSql(relation: string): string {
  return `SELECT EXISTS (SELECT FROM ${relation} AS shown WHERE md5(shown::text) = ANY ($1::text[])) AS seen`;
}

/**
 * What a function returns that names tenants it should not. $1 the tenant it is called for, or null for nobody, $2 ids
 * of other tenants that are long enough to be looked for anywhere in the text.
 *
 * @param call the quoted function with its parentheses.
 */
export function functionRowsSql(call: string, columns: readonly string[]): string {
  const others = columns.map(
    (column) =>
      `(value ->> ${quoteLiteral(column)} IS NOT NULL AND value ->> ${quoteLiteral(column)} IS DISTINCT FROM $1::text)`,
  );
  return `
    SELECT count(*)::int AS rows,
           coalesce(bool_or(${others.join(' OR ')}
             OR EXISTS (SELECT FROM unnest($2::text[]) AS other(id) WHERE strpos(value::text, id) > 0)), false) AS seen
      FROM (SELECT to_jsonb(result) AS value FROM ${call} AS result LIMIT ${DIGEST_ROWS}) AS results`;
}

/** $1 oids of functions. Those that can be called without arguments and give rows, and do not belong to triggers. */
export const CALLABLE_FUNCTIONS_SQL = `
  SELECT p.oid::text AS oid
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_type t ON t.oid = p.prorettype
   WHERE p.oid = ANY ($1::oid[]) AND p.prokind = 'f' AND p.pronargs = p.pronargdefaults AND p.provariadic = 0
     AND (p.proretset OR t.typtype = 'c' OR t.typname IN ('record', 'json', 'jsonb'))
     AND t.typname NOT IN ('trigger', 'event_trigger')`;

/** A sequence's last value. */
export function lastValueSql(sequence: string): string {
  return `SELECT 1 AS readable FROM (SELECT last_value FROM ${sequence}) AS sequence`;
}

/** $1 a tenant. */
export function prepareSql(name: string, relation: string, column: string, type: string): string {
  return `PREPARE ${quoteIdentifier(name)} (${type}) AS ${rowOfSql(relation, column)}`;
}

/** EXECUTE takes no parameters of the protocol. */
export function executeSql(name: string, tenant: string): string {
  return `EXECUTE ${quoteIdentifier(name)} (${quoteLiteral(tenant)})`;
}

export function deallocateSql(name: string): string {
  return `DEALLOCATE ${quoteIdentifier(name)}`;
}

/** Where one row of a tenant lies, and the row itself. $1 the tenant. */
export function rowAddressSql(relation: string, column: string): string {
  return `
    SELECT tableoid::text AS table, ctid::text AS place, to_jsonb(shown)::text AS content FROM ${relation} AS shown
     WHERE ${quoteIdentifier(column)} = $1 LIMIT 1`;
}

/** Whether the row is where it was. $1 its table, $2 its place. */
export function rowThereSql(relation: string): string {
  return `SELECT EXISTS (SELECT FROM ${relation} WHERE tableoid = $1::oid AND ctid = $2::tid) AS seen`;
}

/** Whether the running transaction wrote a row of the tenant. $1 the tenant. */
export function rowWrittenSql(relation: string, column: string): string {
  return `
    SELECT EXISTS (SELECT FROM ${relation} WHERE ${quoteIdentifier(column)} = $1
       AND xmin = pg_catalog.pg_current_xact_id()::xid) AS seen`;
}

/** A copy of a row with another tenant. $1 the row, $2 the tenant. */
export function insertCopySql(relation: string, column: string, columns: readonly string[]): string {
  const names = columns.map(quoteIdentifier).join(', ');
  const tenant = `jsonb_build_object(${quoteLiteral(column)}, $2::text)`;
  return `
    INSERT INTO ${relation} (${names}) OVERRIDING SYSTEM VALUE
    SELECT ${names} FROM jsonb_populate_record(NULL::${relation}, $1::jsonb || ${tenant})`;
}

/** The same, taking over the row that is in the way. */
export function upsertCopySql(
  relation: string,
  column: string,
  columns: readonly string[],
  key: readonly string[],
): string {
  const name = quoteIdentifier(column);
  return `${insertCopySql(relation, column, columns)}
    ON CONFLICT (${key.map(quoteIdentifier).join(', ')}) DO UPDATE SET ${name} = EXCLUDED.${name}`;
}

/** Gives one row to a tenant. $1 the tenant, $2 the row's table, $3 its place. */
export function moveRowSql(relation: string, column: string): string {
  return `UPDATE ${relation} SET ${quoteIdentifier(column)} = $1 WHERE tableoid = $2::oid AND ctid = $3::tid`;
}

/** $1 the row's table, $2 its place. */
export function deleteRowSql(relation: string): string {
  return `DELETE FROM ${relation} WHERE tableoid = $1::oid AND ctid = $2::tid`;
}

/** Gives every row to a tenant. It reads no column, so PostgreSQL asks no SELECT policy. $1 the tenant. */
export function takeAllSql(relation: string, column: string): string {
  return `UPDATE ${relation} SET ${quoteIdentifier(column)} = $1`;
}

/** Deletes every row. It reads no column, so PostgreSQL asks no SELECT policy. */
export function deleteAllSql(relation: string): string {
  return `DELETE FROM ${relation}`;
}

/** Whether there are more than `limit` rows. */
export function moreRowsThanSql(relation: string, limit: number): string {
  return `SELECT count(*) > ${limit} AS seen FROM (SELECT FROM ${relation} LIMIT ${limit + 1}) AS rows`;
}

export function truncateSql(relation: string): string {
  return `TRUNCATE ${relation}`;
}

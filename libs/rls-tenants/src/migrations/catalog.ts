import type { DataSource, NamingStrategyInterface, QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import {
  grantedRelationSql,
  parseTableName,
  quoteTable,
  SEQUENCE_PRIVILEGES,
  TABLE_PRIVILEGES,
  type Grant,
  type PolicyCommand,
  type TableName,
  type TablePrivilege,
} from '../policies/index.js';

/** Runs a query of the catalog. */
async function select<Row>(queryRunner: QueryRunner, sql: string, values: unknown[]): Promise<Row[]> {
  return (await queryRunner.query(sql, values)) as Row[];
}

/** What of a table's row-level security is switched on. @throws RlsConfigurationError if there is no such table. */
export async function rlsStateOf(
  queryRunner: QueryRunner,
  table: string,
): Promise<{ enabled: boolean; forced: boolean }> {
  const [state] = await select<{ enabled: boolean; forced: boolean }>(
    queryRunner,
    'SELECT relrowsecurity AS enabled, relforcerowsecurity AS forced FROM pg_class WHERE oid = to_regclass($1)',
    [quoteTable(table)],
  );
  if (state) return state;
  throw new RlsConfigurationError(
    `Table "${table}" does not exist.`,
    'Create it in an earlier migration or operation; write `schema.table` where the search path does not find it.',
  );
}

/** A column's default as PostgreSQL prints it. */
export async function defaultOf(
  queryRunner: QueryRunner,
  table: string,
  column: string,
): Promise<string | undefined> {
  const [row] = await select<{ expression: string }>(
    queryRunner,
    `SELECT pg_get_expr(adbin, adrelid) AS expression FROM pg_attrdef
     JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
     WHERE adrelid = to_regclass($1) AND attname = $2 AND attgenerated = ''`,
    [quoteTable(table), column],
  );
  return row?.expression;
}

/** The comment on a policy. */
export async function commentOf(
  queryRunner: QueryRunner,
  table: string,
  policyName: string,
): Promise<string | undefined> {
  const [row] = await select<{ comment: string | null }>(
    queryRunner,
    `SELECT obj_description(oid, 'pg_policy') AS comment FROM pg_policy WHERE polrelid = to_regclass($1) AND polname = $2`,
    [quoteTable(table), policyName],
  );
  return row?.comment ?? undefined;
}

/** What a policy for all commands says, as PostgreSQL prints it: without WITH CHECK its rows are those of USING. */
export async function policyOf(
  queryRunner: QueryRunner,
  table: string,
  policyName: string,
): Promise<{ using: string | null; withCheck: string | null } | undefined> {
  const [policy] = await select<{ using: string | null; withCheck: string | null }>(
    queryRunner,
    `SELECT pg_get_expr(polqual, polrelid) AS using, coalesce(pg_get_expr(polwithcheck, polrelid), pg_get_expr(polqual, polrelid))
       AS "withCheck" FROM pg_policy WHERE polrelid = to_regclass($1) AND polname = $2 AND polcmd = '*'`,
    [quoteTable(table), policyName],
  );
  return policy;
}

/** A policy as PostgreSQL prints it. */
export interface LivePolicy {
  readonly name: string;
  readonly command: PolicyCommand | 'ALL';
  readonly using: string | null;
  /** Without WITH CHECK, the rows that may be written are those of USING. */
  readonly withCheck: string | null;
}

/** The policies of a table that have these names, by name. */
export function policiesOf(
  queryRunner: QueryRunner,
  table: string,
  names: readonly string[],
): Promise<LivePolicy[]> {
  return select(
    queryRunner,
    `SELECT polname::text AS name, command, pg_get_expr(polqual, polrelid) AS using,
       CASE WHEN command IN ('ALL', 'UPDATE', 'INSERT')
         THEN coalesce(pg_get_expr(polwithcheck, polrelid), pg_get_expr(polqual, polrelid)) END AS "withCheck"
     FROM pg_policy, LATERAL (SELECT CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
       WHEN 'd' THEN 'DELETE' ELSE 'ALL' END AS command) AS named
     WHERE polrelid = to_regclass($1) AND polname = ANY($2) ORDER BY polname`,
    [quoteTable(table), names],
  );
}

/** How a foreign key is declared, with the actions as pg_constraint abbreviates them. */
export interface ForeignKeyDefinition {
  columns: string[];
  referencedColumns: string[];
  referencesTable: boolean;
  onDelete: string;
  onUpdate: string;
  /** Not deferrable, validated, MATCH SIMPLE and without a column list: as the SQL builders write it. */
  ordinary: boolean;
}

/** The foreign key of that name. */
export async function foreignKeyOf(
  queryRunner: QueryRunner,
  table: string,
  name: string,
  referencedTable: string,
): Promise<ForeignKeyDefinition | undefined> {
  const columns = (keys: string, relation: string) =>
    `ARRAY(SELECT attname::text FROM unnest(${keys}) WITH ORDINALITY AS k(num, n)
       JOIN pg_attribute ON attrelid = ${relation} AND attnum = num ORDER BY n)`;
  const [key] = await select<ForeignKeyDefinition>(
    queryRunner,
    `SELECT ${columns('conkey', 'conrelid')} AS columns, ${columns('confkey', 'confrelid')} AS "referencedColumns",
       confrelid = to_regclass($3) AS "referencesTable", confdeltype::text AS "onDelete", confupdtype::text AS "onUpdate",
       NOT condeferrable AND convalidated AND confmatchtype = 's'
         AND pg_get_constraintdef(pg_constraint.oid) !~ ' SET (NULL|DEFAULT) \\(' AS ordinary
     FROM pg_constraint WHERE conrelid = to_regclass($1) AND conname = $2 AND contype = 'f'`,
    [quoteTable(table), name, quoteTable(referencedTable)],
  );
  return key;
}

/**
 * The columns of an index that is valid and otherwise as `CREATE INDEX name ON table (columns)` makes it: a B-tree that
 * is not unique, without predicate, expressions, included columns, other orders or parameters.
 */
export async function ordinaryIndexColumnsOf(
  queryRunner: QueryRunner,
  table: string,
  name: string,
): Promise<string[] | undefined> {
  const [index] = await select<{ columns: string[] }>(
    queryRunner,
    `SELECT columns FROM pg_index JOIN pg_class c ON c.oid = indexrelid, LATERAL (
       SELECT array_agg(attname::text ORDER BY n) AS columns,
         format(' USING btree (%s)', string_agg(quote_ident(attname), ', ' ORDER BY n)) AS ordinary
       FROM unnest(indkey) WITH ORDINALITY AS k(num, n) JOIN pg_attribute ON attrelid = indrelid AND attnum = num) AS parts
     WHERE indrelid = to_regclass($1) AND relname = $2 AND indisvalid AND NOT indisunique
       AND right(pg_get_indexdef(indexrelid), length(ordinary)) = ordinary`,
    [quoteTable(table), name],
  );
  return index?.columns;
}

/**
 * What it takes to use the table: the privileges on it, and with INSERT those on the sequences that its column defaults
 * call. (An identity column's sequence takes no privilege.)
 *
 * @throws RlsConfigurationError if a role does not exist.
 */
export async function grantsFor(
  queryRunner: QueryRunner,
  table: string,
  roles: readonly string[],
  privileges: readonly TablePrivilege[] = TABLE_PRIVILEGES,
): Promise<Grant[]> {
  await checkRolesExist(queryRunner, roles);
  const sequences = privileges.includes('INSERT') ? await serialSequencesOf(queryRunner, table) : [];
  return roles.flatMap((role) => [
    { role, table, privileges },
    ...sequences.map((sequence) => ({ role, sequence, privileges: SEQUENCE_PRIVILEGES })),
  ]);
}

/** The part of the grants that the roles do not hold themselves. */
export async function lackingOf(queryRunner: QueryRunner, grants: readonly Grant[]): Promise<Grant[]> {
  const lacking: Grant[] = [];
  for (const grant of grants) {
    const held = await select<{ privilege: string }>(
      queryRunner,
      `SELECT privilege_type AS privilege FROM pg_class, aclexplode(
         coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)))
       WHERE oid = to_regclass($1) AND grantee = (SELECT oid FROM pg_roles WHERE rolname = $2)`,
      [grantedRelationSql(grant), grant.role],
    );
    const privileges = (grant.privileges as readonly string[]).filter(
      (wanted) => !held.some(({ privilege }) => privilege === wanted),
    );
    if (privileges.length > 0) lacking.push({ ...grant, privileges } as Grant);
  }
  return lacking;
}

function serialSequencesOf(queryRunner: QueryRunner, table: string): Promise<TableName[]> {
  return select(
    queryRunner,
    `SELECT nspname::text AS schema, relname::text AS name
     FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND relkind = 'S' JOIN pg_namespace n ON n.oid = relnamespace
     WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
       AND d.refobjid = to_regclass($1) AND d.deptype = 'a' ORDER BY nspname, relname`,
    [quoteTable(table)],
  );
}

/** @throws RlsConfigurationError if a role does not exist. */
export async function checkRolesExist(queryRunner: QueryRunner, roles: readonly string[]): Promise<void> {
  const found = await select<{ name: string }>(
    queryRunner,
    'SELECT rolname::text AS name FROM pg_roles WHERE rolname = ANY($1)',
    [roles],
  );
  const absent = roles.find((role) => !found.some(({ name }) => name === role));
  if (absent === undefined) return;
  throw new RlsConfigurationError(`Role "${absent}" does not exist.`, 'Run `rls-tenants setup-roles` first.');
}

/** The server's version as PostgreSQL numbers it, for example 180001. */
export async function serverVersionOf(queryRunner: QueryRunner): Promise<number> {
  const [row] = await select<{ version: number }>(
    queryRunner,
    `SELECT current_setting('server_version_num')::int AS version`,
    [],
  );
  return row!.version;
}

/** The name TypeORM gives a foreign key of these columns, so that `migration:generate` finds it. */
export function foreignKeyNameFor(
  queryRunner: QueryRunner,
  table: string,
  columns: string[],
  referencedTable: string,
  referencedColumns: string[],
): string {
  return namingStrategyOf(queryRunner).foreignKeyName(
    parseTableName(table).name,
    columns,
    parseTableName(referencedTable).name,
    referencedColumns,
  );
}

/** The name TypeORM gives a unique constraint of these columns, so that `migration:generate` finds it. */
export function uniqueNameFor(queryRunner: QueryRunner, table: string, columns: string[]): string {
  return namingStrategyOf(queryRunner).uniqueConstraintName(parseTableName(table).name, columns);
}

/** The name TypeORM gives an index of these columns, so that `migration:generate` finds it. */
export function indexNameFor(queryRunner: QueryRunner, table: string, columns: string[]): string {
  return namingStrategyOf(queryRunner).indexName(parseTableName(table).name, columns);
}

/** TypeORM 1.x renamed `connection` to `dataSource`. */
function namingStrategyOf(queryRunner: QueryRunner): NamingStrategyInterface {
  const { dataSource } = queryRunner as { dataSource?: DataSource };
  return (dataSource ?? queryRunner.connection).namingStrategy;
}

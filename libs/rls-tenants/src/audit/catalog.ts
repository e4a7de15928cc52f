import { RlsConfigurationError } from '../errors.js';
import type { TenantScopedTable } from '../entities/tenant-tables.js';
import { parseTableName } from '../policies/index.js';
import {
  BEGIN_SQL,
  COLUMNS_SQL,
  COMMIT_SQL,
  FIX_SEARCH_PATH_SQL,
  GRANTS_SQL,
  IDENTITY_SQL,
  POLICIES_SQL,
  ROLES_SQL,
  ROLLBACK_SQL,
  SETTINGS_SQL,
  TABLES_SQL,
} from './catalog.sql.js';
import {
  readDatabaseCatalog,
  readSchemas,
  tablePrivileges,
  type CatalogRelation,
  type DatabaseCatalog,
} from './database-catalog.js';
import { RELATIONS_SQL } from './database-catalog.sql.js';
import { readSeals, type CatalogSeal } from './seal-catalog.js';

/** Runs one statement on one dedicated connection and gives its rows. */
export type CatalogQuery = (sql: string, parameters?: unknown[]) => Promise<unknown>;

/** Where the audit runs, and as whom. */
export interface CatalogServer {
  readonly versionNumber: number;
  readonly version: string;
  readonly database: string;
  readonly databaseOwner: string;
  readonly currentUser: string;
  readonly sessionUser: string;
}

/** A role of the server, seen from the audited role. */
export interface CatalogRole {
  readonly name: string;
  readonly superuser: boolean;
  readonly bypassRls: boolean;
  readonly createRole: boolean;
  readonly replication: boolean;
  readonly login: boolean;
  /** The audited role has this role's privileges without asking (`pg_has_role(…, 'USAGE')`), so its policies too. */
  readonly inherited: boolean;
  /** The audited role may `SET ROLE` to it. */
  readonly settable: boolean;
  /** The audited role may grant itself this role: it has ADMIN OPTION on it or on a member of it. */
  readonly grantable: boolean;
}

export interface CatalogColumn {
  readonly name: string;
  /** As `format_type` writes it, without the modifier: `uuid`, `integer`, `character varying`. */
  readonly type: string;
  /** `pg_type.typtype`: `b` base, `e` enum, `d` domain, `c` composite, `r` range. */
  readonly typeKind: string;
  readonly notNull: boolean;
  /** False under a collation in which different texts are equal. */
  readonly deterministic: boolean;
  /** The default's expression, or what a generated column is generated from. */
  readonly default: string | null;
  readonly generated: boolean;
  /** `a` ALWAYS, `d` BY DEFAULT, null for columns that are no identity. */
  readonly identity: string | null;
}

/** A policy as it is in the database now. */
export interface CatalogPolicy {
  readonly name: string;
  readonly permissive: boolean;
  readonly command: 'ALL' | 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE';
  /** Role names; `public` stands for every role. */
  readonly roles: readonly string[];
  readonly using: string | null;
  readonly withCheck: string | null;
  /** It depends on functions, operators, types or collations that are neither PostgreSQL's own nor a seal's. */
  readonly usesOwnCode: boolean;
  /** Named directly, through PUBLIC or through inherited membership. */
  readonly appliesToAppRole: boolean;
}

/** A privilege that reaches the audited role: granted to it, to PUBLIC or to a role it inherits. Owners excluded. */
export interface CatalogGrant {
  readonly privilege: string;
  /** A role's name, or null for PUBLIC. */
  readonly grantee: string | null;
  readonly column: string | null;
}

/** A relation that the entities name, or one of the audited scope. */
export interface CatalogTable {
  readonly schema: string;
  readonly name: string;
  /** `pg_class.relkind`. */
  readonly kind: string;
  readonly owner: string;
  readonly schemaOwner: string;
  readonly rlsEnabled: boolean;
  readonly rlsForced: boolean;
  readonly columns: ReadonlyMap<string, CatalogColumn>;
  readonly policies: readonly CatalogPolicy[];
  readonly grants: readonly CatalogGrant[];
}

/** A value of the tenant setting that is there before any statement carries one. */
export interface CatalogSetting {
  readonly setting: string;
  readonly value: string;
  /** `connection`: the setting has the value now; where it comes from is not in the catalog. */
  readonly source: 'connection' | 'database-role';
  /** Null: every role, or every database. */
  readonly role: string | null;
  readonly database: string | null;
}

/** What the rules need to know of a database: one consistent snapshot, read by {@link readCatalog}. */
export interface Catalog {
  readonly server: CatalogServer;
  /** The audited role. */
  readonly appRole: CatalogRole;
  /** False where another login role than the connection's own is audited. */
  readonly auditsOwnConnection: boolean;
  /**
   * The audited role, the session's role, the admin roles and every role that the audited role is a member of; every
   * role of the server where the whole database is audited.
   */
  readonly roles: ReadonlyMap<string, CatalogRole>;
  readonly settings: readonly CatalogSetting[];
  /** What verifies the tenant's seals, for each tenant setting whose database is sealed. */
  readonly seals: readonly CatalogSeal[];
  /** The relation an entity's table name means: resolved through the search path if it has no schema. */
  table(path: string): CatalogTable | undefined;
  /** The relation of that schema and name, if an entity names it or it is in the audited scope. */
  tableAt(schema: string, name: string): CatalogTable | undefined;
  /** The audited scope; undefined where only what the entities declare was read. */
  readonly database: DatabaseCatalog | undefined;
}

/** {@link Catalog} of a whole audited scope. */
export type FullCatalog = Catalog & { readonly database: DatabaseCatalog };

/** A table to read, with the tables it is protected through. */
export type NamedTable = Pick<TenantScopedTable, 'table' | 'sides'>;

export interface ReadCatalogOptions {
  /** Login role to look at. Default: the connection's current user. */
  role?: string | undefined;
  adminRoles: readonly string[];
  /** Settings whose stored and current values are wanted. */
  settings: readonly string[];
  /** Tenant settings whose seals are wanted. */
  tenantSettings: readonly string[];
  /**
   * `'declared'`: only the tables given, which is what a start can afford. `'database'`: every relation of the schemas
   * as well, and all that hangs on them.
   */
  scope: 'declared' | 'database';
  /** Names of the schemas of the scope. Default: all but the system's and those of extensions. */
  schemas?: readonly string[] | undefined;
}

/**
 * Reads everything the rules need, in a fixed number of statements however many tables there are, and in one read-only
 * REPEATABLE READ transaction. It names relations of pg_catalog only (tables go in as parameters) and needs no more
 * privileges than any role has.
 *
 * @param query must run every statement on the same connection, outside a transaction.
 * @throws RlsConfigurationError if the role to audit or a schema does not exist, or the connection's role may not read
 * the catalog.
 */
export async function readCatalog(
  query: CatalogQuery,
  tables: readonly NamedTable[],
  options: ReadCatalogOptions,
): Promise<Catalog> {
  await query(BEGIN_SQL);
  try {
    const catalog = await readSnapshot(query as CatalogRows, tables, options);
    await query(COMMIT_SQL);
    return catalog;
  } catch (error) {
    // The first error is the caller's; on a broken connection there is nothing to roll back.
    await query(ROLLBACK_SQL).catch(() => {});
    throw isPermissionDenied(error) ? unreadable(error) : error;
  }
}

/** 42501: every role may read the catalog unless somebody took that right away. */
function isPermissionDenied(error: unknown): error is Error {
  return error instanceof Error && (error as { code?: unknown }).code === '42501';
}

function unreadable({ message }: Error): RlsConfigurationError {
  return new RlsConfigurationError(
    `The connection has no rights to check: ${message}.`,
    'Give PUBLIC back the SELECT on what the message names, in pg_catalog, or audit with --role over a connection that may read it.',
  );
}

/** {@link CatalogQuery} with typed rows. */
export type CatalogRows = <Row>(sql: string, parameters?: unknown[]) => Promise<Row[]>;

interface IdentityRow {
  version_number: number;
  version: string;
  database: string;
  database_owner: string;
  current_user: string;
  session_user: string;
  search_path: string[];
  role_oid: string | null;
  role: string;
}

interface TableRow extends RelationRow {
  path: string;
}

type Details = 'columns' | 'policies' | 'grants';
type RelationRow = Omit<CatalogTable, Details> & { readonly oid: string };

async function readSnapshot(
  query: CatalogRows,
  tables: readonly NamedTable[],
  options: ReadCatalogOptions,
): Promise<Catalog> {
  const [identity] = await query<IdentityRow>(IDENTITY_SQL, [options.role ?? null]);
  if (!identity || identity.role_oid === null) {
    throw new RlsConfigurationError(
      `Role ${JSON.stringify(options.role)} does not exist.`,
      "Name an existing role to audit, or none to audit the connection's own.",
    );
  }
  await query(FIX_SEARCH_PATH_SQL);
  const auditsOwnConnection = identity.role === identity.current_user;
  const app = identity.role_oid;

  const found = await readDeclared(query, tables, identity.search_path);
  const declared = [...new Map(found.map(({ path: _path, ...row }) => [row.oid, row])).values()];
  const schemas =
    options.scope === 'database' ? await readSchemas(query, options.schemas ?? null, app) : undefined;
  const rows: readonly RelationRow[] = schemas
    ? await query<Omit<CatalogRelation, Details>>(RELATIONS_SQL, [
        schemas.map(({ oid }) => oid),
        declared.map(({ oid }) => oid),
        app,
        tablePrivileges(identity.version_number),
      ])
    : declared;
  const seals = await readSeals(query, options.tenantSettings, {
    appRole: app,
    privileges: tablePrivileges(identity.version_number),
  });
  const relations = await withDetails(query, rows, app, seals);
  const roles = await readRoles(query, identity, { ...options, auditsOwnConnection });
  const settings = await query<CatalogSetting>(SETTINGS_SQL, [
    options.settings,
    connectionRoles(identity, auditsOwnConnection),
    auditsOwnConnection,
  ]);
  // RELATIONS_SQL gave the rows the rest of a CatalogRelation.
  const database =
    schemas &&
    (await readDatabaseCatalog(query, schemas, relations as CatalogRelation[], {
      versionNumber: identity.version_number,
      appRole: app,
    }));

  const byOid = new Map(relations.map((relation) => [relation.oid, relation]));
  const byPath = new Map(found.map(({ path, oid }) => [path, byOid.get(oid)]));
  const byName = new Map(relations.map((relation) => [nameKey(relation.schema, relation.name), relation]));
  return {
    server: serverOf(identity),
    appRole: roles.get(identity.role)!,
    auditsOwnConnection,
    roles,
    settings,
    seals,
    table: (path) => byPath.get(path),
    tableAt: (schema, name) => byName.get(nameKey(schema, name)),
    database,
  };
}

/** A table that two names mean is there twice. */
async function readDeclared(
  query: CatalogRows,
  tables: readonly NamedTable[],
  searchPath: readonly string[],
): Promise<TableRow[]> {
  const paths = [
    ...new Set(tables.flatMap(({ table, sides = [] }) => [table, ...sides.map((side) => side.table)])),
  ];
  const names = paths.map(parseTableName);
  return query<TableRow>(TABLES_SQL, [
    paths,
    names.map(({ schema }) => schema ?? null),
    names.map(({ name }) => name),
    searchPath,
  ]);
}

async function withDetails(
  query: CatalogRows,
  rows: readonly RelationRow[],
  app: string,
  seals: readonly CatalogSeal[],
): Promise<(CatalogTable & { readonly oid: string })[]> {
  const oids = rows.map(({ oid }) => oid);
  const sealFunctions = seals.flatMap(({ functions }) => functions.map(({ oid }) => oid));
  const columns = byTable(await query<CatalogColumn & OfTable>(COLUMNS_SQL, [oids]));
  const policies = byTable(await query<CatalogPolicy & OfTable>(POLICIES_SQL, [oids, app, sealFunctions]));
  const grants = byTable(await query<CatalogGrant & OfTable>(GRANTS_SQL, [oids, app]));
  return rows.map((row) => ({
    ...row,
    columns: new Map((columns.get(row.oid) ?? []).map((column) => [column.name, column])),
    policies: policies.get(row.oid) ?? [],
    grants: grants.get(row.oid) ?? [],
  }));
}

interface OfTable {
  readonly table: string;
}

/** Groups rows by the oid of their table, which the result no longer holds. */
function byTable<Row extends OfTable>(rows: readonly Row[]): Map<string, Omit<Row, 'table'>[]> {
  const groups = new Map<string, Omit<Row, 'table'>[]>();
  for (const { table, ...row } of rows) {
    const group = groups.get(table);
    if (group) group.push(row);
    else groups.set(table, [row]);
  }
  return groups;
}

async function readRoles(
  query: CatalogRows,
  identity: IdentityRow,
  { adminRoles, scope, auditsOwnConnection }: ReadCatalogOptions & { auditsOwnConnection: boolean },
): Promise<Map<string, CatalogRole>> {
  const roles = await query<CatalogRole>(ROLES_SQL, [
    identity.role_oid,
    [...connectionRoles(identity, auditsOwnConnection), ...adminRoles],
    identity.version_number >= 160000 ? 'SET' : 'MEMBER',
    scope === 'database',
  ]);
  return new Map(roles.map((role) => [role.name, role]));
}

function connectionRoles(identity: IdentityRow, auditsOwnConnection: boolean): string[] {
  return auditsOwnConnection ? [identity.current_user, identity.session_user] : [identity.role];
}

function serverOf(identity: IdentityRow): CatalogServer {
  return {
    versionNumber: identity.version_number,
    version: identity.version,
    database: identity.database,
    databaseOwner: identity.database_owner,
    currentUser: identity.current_user,
    sessionUser: identity.session_user,
  };
}

/** No identifier holds a NUL. */
function nameKey(schema: string, name: string): string {
  return `${schema}\0${name}`;
}

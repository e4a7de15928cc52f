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
  readonly notNull: boolean;
  /** False under a collation in which different texts are equal. */
  readonly deterministic: boolean;
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
  /** It depends on functions, operators, types or collations that are not PostgreSQL's own. */
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

/** A relation that the entities name. */
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
  /** The audited role, the session's role, the admin roles and every role that the audited role is a member of. */
  readonly roles: ReadonlyMap<string, CatalogRole>;
  readonly settings: readonly CatalogSetting[];
  /** The relation an entity's table name means: resolved through the search path if it has no schema. */
  table(path: string): CatalogTable | undefined;
  /** The relation of that schema and name, if an entity names it. */
  tableAt(schema: string, name: string): CatalogTable | undefined;
}

export interface ReadCatalogOptions {
  /** Login role to look at. Default: the connection's current user. */
  role?: string | undefined;
  adminRoles: readonly string[];
}

/**
 * Reads everything the rules need, in a fixed number of statements however many tables there are, and in one read-only
 * REPEATABLE READ transaction. It names relations of pg_catalog only (tables go in as parameters) and needs no more
 * privileges than any role has.
 *
 * @param query must run every statement on the same connection, outside a transaction.
 * @throws RlsConfigurationError if the role to audit does not exist.
 */
export async function readCatalog(
  query: CatalogQuery,
  tables: readonly TenantScopedTable[],
  options: ReadCatalogOptions,
): Promise<Catalog> {
  await query(BEGIN_SQL);
  try {
    const catalog = await readSnapshot(query as Rows, tables, options);
    await query(COMMIT_SQL);
    return catalog;
  } catch (error) {
    // The first error is the caller's; on a broken connection there is nothing to roll back.
    await query(ROLLBACK_SQL).catch(() => {});
    throw error;
  }
}

type Rows = <Row>(sql: string, parameters?: unknown[]) => Promise<Row[]>;

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

interface TableRow extends Omit<CatalogTable, 'columns' | 'policies' | 'grants'> {
  path: string;
  oid: string;
}

async function readSnapshot(
  query: Rows,
  tables: readonly TenantScopedTable[],
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

  const paths = [
    ...new Set(tables.flatMap(({ table, sides = [] }) => [table, ...sides.map((side) => side.table)])),
  ];
  const names = paths.map(parseTableName);
  const found = await query<TableRow>(TABLES_SQL, [
    paths,
    names.map(({ schema }) => schema ?? null),
    names.map(({ name }) => name),
    identity.search_path,
  ]);
  const oids = [...new Set(found.map(({ oid }) => oid))];
  const columns = await query<CatalogColumn & { table: string }>(COLUMNS_SQL, [oids]);
  const policies = await query<CatalogPolicy & { table: string }>(POLICIES_SQL, [oids, app]);
  const grants = await query<CatalogGrant & { table: string }>(GRANTS_SQL, [oids, app]);

  const setWord = identity.version_number >= 160000 ? 'SET' : 'MEMBER';
  const connectionRoles = auditsOwnConnection
    ? [identity.current_user, identity.session_user]
    : [identity.role];
  const roles = await query<CatalogRole>(ROLES_SQL, [
    app,
    [...connectionRoles, ...options.adminRoles],
    setWord,
  ]);
  const settings = await query<CatalogSetting>(SETTINGS_SQL, [
    [...new Set(tables.map(({ tenantSetting }) => tenantSetting))],
    connectionRoles,
    auditsOwnConnection,
  ]);

  const byOid = new Map(
    found.map((row) => [
      row.oid,
      {
        ...pick(row),
        columns: new Map(
          columns.filter(({ table }) => table === row.oid).map((column) => [column.name, column]),
        ),
        policies: policies.filter(({ table }) => table === row.oid),
        grants: grants.filter(({ table }) => table === row.oid),
      } satisfies CatalogTable,
    ]),
  );
  const byPath = new Map(found.map(({ path, oid }) => [path, byOid.get(oid)!]));
  const roleByName = new Map(roles.map((role) => [role.name, role]));
  return {
    server: {
      versionNumber: identity.version_number,
      version: identity.version,
      database: identity.database,
      databaseOwner: identity.database_owner,
      currentUser: identity.current_user,
      sessionUser: identity.session_user,
    },
    appRole: roleByName.get(identity.role)!,
    auditsOwnConnection,
    roles: roleByName,
    settings,
    table: (path) => byPath.get(path),
    tableAt: (schema, name) =>
      [...byOid.values()].find((table) => table.schema === schema && table.name === name),
  };
}

function pick({ schema, name, kind, owner, schemaOwner, rlsEnabled, rlsForced }: TableRow) {
  return { schema, name, kind, owner, schemaOwner, rlsEnabled, rlsForced };
}

import {
  currentTenantSql,
  objectName,
  quoteIdentifier,
  quoteRole,
  tenantPredicateSql,
} from '../policies/index.js';
import type { DatabaseAudit, TenantRelation } from './database-audit.js';
import type { CatalogDefaultPrivilege, CatalogFunction, CatalogRelation } from './database-catalog.js';

// The SQL that findings about ways around the policies tell people to run. The audit itself runs none of it.

/** `"public"."f"(a uuid)`, as ALTER FUNCTION takes it. */
export function functionSql({ schema, name, arguments: parameters }: CatalogFunction): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}(${parameters})`;
}

/** For findings: `function "public.f(a uuid)"`. */
export function functionObject({ schema, name, arguments: parameters }: CatalogFunction): string {
  return `function "${schema}.${name}(${parameters})"`;
}

/** `ALTER FUNCTION … <action>`. */
export function alterFunction(one: CatalogFunction, action: string): string {
  return `ALTER ${one.kind === 'p' ? 'PROCEDURE' : 'FUNCTION'} ${functionSql(one)} ${action};`;
}

/** Objects are resolved in PostgreSQL's own schema and the function's, and in the caller's temporary one last. */
export function fixSearchPath(one: CatalogFunction): string {
  return alterFunction(one, `SET search_path = pg_catalog, ${quoteIdentifier(one.schema)}, pg_temp`);
}

/** Takes privileges from roles; null stands for PUBLIC. */
export function revoke(privileges: string, object: string, grantees: readonly (string | null)[]): string {
  return `REVOKE ${privileges} ON ${object} FROM ${[...new Set(grantees)].map(granteeSql).join(', ')};`;
}

/** Takes the right to create objects in a schema; null stands for PUBLIC. */
export function revokeCreate(schema: string, grantee: string | null): string {
  return revoke('CREATE', `SCHEMA ${quoteIdentifier(schema)}`, [grantee]);
}

/** Gives the app role a privilege of its own. */
export function grant(privileges: string, object: string, role: string): string {
  return `GRANT ${privileges} ON ${object} TO ${quoteRole(role)};`;
}

/** Ends what objects made later would grant. */
export function revokeDefault(
  { owner, schema, grantee }: CatalogDefaultPrivilege,
  privileges: readonly string[],
  objects: string,
): string {
  const where = schema === null ? '' : ` IN SCHEMA ${quoteIdentifier(schema)}`;
  return `ALTER DEFAULT PRIVILEGES FOR ROLE ${quoteRole(owner)}${where} REVOKE ${privileges.join(', ')} ON ${objects} FROM ${granteeSql(grantee)};`;
}

/**
 * Makes views read as whoever reads them. Before PostgreSQL 15 a view reads as its owner in any case, so the owner must
 * be somebody whom the policies hold.
 */
export function readAsReader(
  audit: DatabaseAudit,
  views: readonly CatalogRelation[],
  tables: readonly CatalogRelation[],
): string {
  const lines = views.map((view) => `ALTER VIEW ${audit.quoted(view)}`);
  const tablesSql = tables.map((table) => audit.quoted(table)).join(', ');
  if (audit.catalog.server.versionNumber >= 150000) {
    const lacking = [...views.slice(1), ...tables].filter((relation) => !audit.appMay(relation, 'SELECT'));
    const note = lacking
      .map((one) => `\n-- The app role then needs SELECT on ${audit.quoted(one)}.`)
      .join('');
    return lines.map((line) => `${line} SET (security_invoker = true);`).join('\n') + note;
  }
  return [
    '-- Before PostgreSQL 15: an owner whom the policies hold, that is NOLOGIN, NOBYPASSRLS and no member of the admin role.',
    `GRANT SELECT ON TABLE ${tablesSql} TO <view role>;`,
    ...lines.map((line) => `${line} OWNER TO <view role>;`),
  ].join('\n');
}

/** Puts a view that holds itself to the tenant in front of stored rows. */
export function hideBehindView(
  audit: DatabaseAudit,
  stored: CatalogRelation,
  { declared: { tenantColumn, tenantIdType, tenantSetting } }: TenantRelation,
): string {
  const view = audit.quoted({ schema: stored.schema, name: objectName(stored.name, 'of_tenant') });
  const predicate = tenantPredicateSql(tenantColumn, currentTenantSql(tenantIdType, tenantSetting));
  return [
    `CREATE VIEW ${view} WITH (security_barrier = true) AS SELECT * FROM ${audit.quoted(stored)} WHERE ${predicate};`,
    grant('SELECT', `TABLE ${view}`, audit.catalog.appRole.name),
  ].join('\n');
}

/** Drops what CREATE RULE made. */
export function dropRule(audit: DatabaseAudit, name: string, relation: CatalogRelation): string {
  return `DROP RULE ${quoteIdentifier(name)} ON ${audit.quoted(relation)};`;
}

/** Ends the mappings through which a login becomes another one on a foreign server; null stands for PUBLIC. */
export function dropUserMappings(server: string, users: readonly (string | null)[]): string {
  return users
    .map((user) => `DROP USER MAPPING FOR ${granteeSql(user)} SERVER ${quoteIdentifier(server)};`)
    .join('\n');
}

/** The roles that relation grants of some privileges name. */
export function granteesOf({ grants }: CatalogRelation, privileges: readonly string[]): (string | null)[] {
  return grants.filter(({ privilege }) => privileges.includes(privilege)).map(({ grantee }) => grantee);
}

/** For messages: `PUBLIC`, or the quoted role. */
export function granteeName(grantee: string | null): string {
  return grantee === null ? 'PUBLIC' : `role "${grantee}"`;
}

function granteeSql(grantee: string | null): string {
  return grantee === null ? 'PUBLIC' : quoteRole(grantee);
}

import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogForeignServer, CatalogRelation } from '../database-catalog.js';
import { defineDatabaseRule, type Observation } from '../rule.js';
import { dropUserMappings, functionObject, functionSql, granteesOf, revoke } from '../side-door-fixes.js';

const DML = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] as const;

/** RLS025: another connection, as another login, has other policies or none. */
export const foreignOrLoopbackAccess = defineDatabaseRule({
  id: 'RLS025',
  title: 'foreign-or-loopback-access',
  severity: 'error',
  reason:
    'A foreign table has no policies, and a connection that the server opens is another login, on which no tenant is set.',
  *find(audit) {
    // A superuser may connect as anybody; RLS001 says so.
    if (audit.catalog.appRole.superuser) return;
    yield* foreignTables(audit);
    yield* sharedMappings(audit);
    yield* passwordlessConnections(audit);
  },
});

/** Rows of tenants are likely where the table is a partition of a tenant table or has the tenant column. */
function* foreignTables(audit: DatabaseAudit): Iterable<Observation> {
  const columns = new Set(audit.tenantTables.map(({ declared }) => declared.tenantColumn));
  for (const relation of audit.database.relations) {
    if (relation.kind !== 'f' || relation.extension !== null || !audit.appMay(relation, ...DML)) continue;
    const ofTenants =
      audit.tenantTable(relation) !== undefined ||
      [...relation.columns.keys()].some((name) => columns.has(name));
    yield {
      severity: ofTenants ? 'error' : 'warning',
      object: `foreign table "${audit.nameOf(relation)}"`,
      message: `The app role has ${privilegesOf(relation).join(', ')} on it: ${ofTenants ? 'it has the rows of tenants' : 'whatever rows it has'}, and no policy can be on it.`,
      fix: `-- Read it through a security_barrier view that compares the tenant column, or not at all.\n${revoke('ALL', `TABLE ${audit.quoted(relation)}`, granteesOf(relation, DML))}`,
    };
  }
}

function privilegesOf({ appPrivileges }: CatalogRelation): string[] {
  return DML.filter((privilege) => appPrivileges.includes(privilege));
}

/** With USAGE on the server the app role logs in there as the mapping says, and asks what it likes. */
function* sharedMappings(audit: DatabaseAudit): Iterable<Observation> {
  const { name: appRole } = audit.catalog.appRole;
  for (const server of audit.database.foreignServers) {
    const users = server.mappedUsers.filter((user) => user === null || user === appRole);
    const means = server.appUsage && users.length > 0 ? meansOf(audit, server) : undefined;
    if (means === undefined) continue;
    yield {
      object: `foreign server "${server.name}"`,
      message: `The app role may use it with the user mapping of ${users.map((user) => (user === null ? 'PUBLIC' : `"${user}"`)).join(' and ')}, and ${means}: it reads there whatever that login may read.`,
      fix: dropUserMappings(server.name, users),
    };
  }
}

function meansOf(audit: DatabaseAudit, { wrapper }: CatalogForeignServer): string | undefined {
  const speaksPostgres = wrapper === 'postgres_fdw' || wrapper === 'dblink_fdw';
  if (
    speaksPostgres &&
    dblinkFunctions(audit).some(({ name }) => name === 'dblink' || name === 'dblink_connect')
  )
    return 'call dblink()';
  const { schemas, appCreate } = audit.database;
  return appCreate || schemas.some((schema) => schema.appCreate) ? 'declare foreign tables on it' : undefined;
}

/** dblink_connect_u() takes no password: where the server trusts itself, or has one on file, everybody is everybody. */
function* passwordlessConnections(audit: DatabaseAudit): Iterable<Observation> {
  for (const one of dblinkFunctions(audit)) {
    if (one.name !== 'dblink_connect_u') continue;
    const grantees = one.grants
      .map(({ grantee }) => grantee)
      .filter(
        (grantee) =>
          grantee === null ||
          (grantee !== one.owner && audit.roles.hasPrivilegesOf(audit.catalog.appRole.name, grantee)),
      );
    yield {
      object: functionObject(one),
      message: 'The app role may call it, and it connects as any login that the server asks no password of.',
      fix: revoke('EXECUTE', `FUNCTION ${functionSql(one)}`, grantees),
    };
  }
}

function dblinkFunctions({ database }: DatabaseAudit) {
  return database.functions.filter(({ extension, appMayExecute }) => extension === 'dblink' && appMayExecute);
}

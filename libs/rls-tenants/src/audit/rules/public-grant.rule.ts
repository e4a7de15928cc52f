import { TABLE_PRIVILEGES } from '../../policies/index.js';
import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogRelation, CatalogSchema } from '../database-catalog.js';
import { defineDatabaseRule, type Observation } from '../rule.js';
import { grant, granteeName, revoke, revokeCreate } from '../side-door-fixes.js';

/** RLS031: what is granted to PUBLIC, and who may put objects in front of the tenant tables. */
export const publicGrant = defineDatabaseRule({
  id: 'RLS031',
  title: 'public-grant',
  severity: 'error',
  reason:
    'What PUBLIC may do every login may do, those included that no tenant was ever set for; and who may create objects in a schema may put its own in the place of others.',
  *find(audit) {
    for (const relation of audit.database.relations) {
      if (relation.extension === null && hasTenantRows(audit, relation))
        yield* publicRelation(audit, relation);
    }
    for (const schema of audit.database.schemas) yield* openSchema(audit, schema);
  },
});

/** A foreign table's grants are RLS025's. */
function hasTenantRows(audit: DatabaseAudit, relation: CatalogRelation): boolean {
  if (relation.kind === 'r' || relation.kind === 'p') return audit.tenantTable(relation) !== undefined;
  if (relation.kind !== 'v' && relation.kind !== 'm') return false;
  return audit.readsOf(relation).some((read) => audit.tenantTable(read.relation) !== undefined);
}

function* publicRelation(audit: DatabaseAudit, relation: CatalogRelation): Iterable<Observation> {
  const open = relation.grants.filter(({ grantee }) => grantee === null);
  if (open.length === 0) return;
  const privileges = [...new Set(open.map(({ privilege }) => privilege))];
  const table = `TABLE ${audit.quoted(relation)}`;
  const kind = { v: 'view', m: 'materialized view' }[relation.kind] ?? 'table';
  // Partitions are used through the table above.
  const needed =
    relation.parents.length > 0 ? [] : TABLE_PRIVILEGES.filter((one) => privileges.includes(one));
  yield {
    object: `${kind} "${audit.nameOf(relation)}"`,
    message: `PUBLIC has ${privileges.join(', ')} on it, and with it every login of the server, whose tenant setting nobody controls.`,
    fix: [
      ...(needed.length > 0 ? [grant(needed.join(', '), table, audit.catalog.appRole.name)] : []),
      revoke('ALL', table, [null]),
    ].join('\n'),
  };
}

/** A function or table in a schema that is searched earlier is taken for the one that was meant (CVE-2018-1058). */
function* openSchema(audit: DatabaseAudit, schema: CatalogSchema): Iterable<Observation> {
  const grantees = schema.grants
    .filter(({ privilege, grantee }) => privilege === 'CREATE' && grantee !== schema.owner)
    .map(({ grantee }) => grantee)
    .filter((grantee) => grantee === null || isAppRole(audit, grantee))
    .filter((grantee) => grantee === null || isSearched(audit, schema));
  for (const grantee of new Set(grantees)) {
    yield {
      object: `schema "${schema.name}"`,
      message: `${grantee === null ? 'PUBLIC' : capitalized(granteeName(grantee))} may create objects in it, and so put a function or table of its own in the place of one that others mean.`,
      fix: revokeCreate(schema.name, grantee),
    };
  }
}

/** A superuser has the privileges of every role; RLS001 says so. */
function isAppRole({ catalog: { appRole }, roles }: DatabaseAudit, grantee: string): boolean {
  return !appRole.superuser && roles.hasPrivilegesOf(appRole.name, grantee);
}

/** A scratch schema of the app role is nobody else's business; where tables of tenants are, others look names up. */
function isSearched(audit: DatabaseAudit, { name }: CatalogSchema): boolean {
  return name === 'public' || audit.protectedRelations.some(({ schema }) => schema === name);
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

import { TABLE_PRIVILEGES } from '../../policies/index.js';
import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogDefaultPrivilege } from '../database-catalog.js';
import { defineDatabaseRule } from '../rule.js';
import { granteeName, revokeDefault } from '../side-door-fixes.js';

/** What default privileges may give the app role, by `objectType`. PUBLIC may be given none of these. */
const OBJECTS: Readonly<Record<string, { word: string; allowed: readonly string[] }>> = {
  r: { word: 'tables', allowed: TABLE_PRIVILEGES },
  n: { word: 'schemas', allowed: ['USAGE'] },
};

/** RLS030: what ALTER DEFAULT PRIVILEGES grants, every future table and partition has before anybody protects it. */
export const defaultPrivilegesTooWide = defineDatabaseRule({
  id: 'RLS030',
  title: 'default-privileges-too-wide',
  severity: 'error',
  reason:
    'Every table made from now on grants more than serving requests takes, before anybody has protected it.',
  *find(audit) {
    for (const entries of together(audit.database.defaultPrivileges.filter((one) => isWide(audit, one)))) {
      const [first] = entries;
      const { owner, schema, grantee, objectType } = first;
      const { word } = OBJECTS[objectType]!;
      const privileges = entries.map(({ privilege }) => privilege);
      const where = schema === null ? '' : ` in schema "${schema}"`;
      yield {
        object: `default privileges of role "${owner}"${where} for ${granteeName(grantee)} on ${word}`,
        message: `All ${word} that "${owner}" makes${where} will grant ${privileges.join(', ')} to ${granteeName(grantee)}.`,
        fix: revokeDefault(first, privileges, word.toUpperCase()),
      };
    }
  },
});

function isWide(audit: DatabaseAudit, one: CatalogDefaultPrivilege): boolean {
  const object = OBJECTS[one.objectType];
  if (!object || (one.schema !== null && audit.schema(one.schema) === undefined)) return false;
  if (one.grantee === null) return true;
  const { name, superuser } = audit.catalog.appRole;
  return (
    !superuser && audit.roles.hasPrivilegesOf(name, one.grantee) && !object.allowed.includes(one.privilege)
  );
}

/** One statement takes back all that one grantee gets. */
function together(
  entries: readonly CatalogDefaultPrivilege[],
): Iterable<[CatalogDefaultPrivilege, ...CatalogDefaultPrivilege[]]> {
  const groups = new Map<string, [CatalogDefaultPrivilege, ...CatalogDefaultPrivilege[]]>();
  for (const entry of entries) {
    const key = JSON.stringify([entry.owner, entry.schema, entry.grantee, entry.objectType]);
    const group = groups.get(key);
    if (group) group.push(entry);
    else groups.set(key, [entry]);
  }
  return groups.values();
}

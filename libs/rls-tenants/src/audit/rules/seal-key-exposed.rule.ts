import type { Catalog } from '../catalog.js';
import { revokeRole } from '../fix-sql.js';
import { defineRule } from '../rule.js';
import { quotedKeyTable } from '../seal.js';
import type { CatalogSeal, CatalogSealKeyTable } from '../seal-catalog.js';
import { granteeName, revoke, revokeDefault } from '../side-door-fixes.js';

/** RLS060: whoever has a key of the seal makes seals for every tenant. */
export const sealKeyExposed = defineRule({
  id: 'RLS060',
  title: 'seal-key-exposed',
  severity: 'critical',
  reason: 'Whoever reads a key of the tenant seal, or writes one, is every tenant.',
  *find(catalog) {
    if (catalog.appRole.superuser) return;
    for (const seal of catalog.seals) {
      const { keyTable } = seal;
      if (!keyTable) continue;
      const exposed = exposures(catalog, seal, keyTable);
      if (exposed.length === 0) continue;
      const granted = keyTable.grants.filter(({ grantee }) => reaches(catalog, grantee));
      const byDefault = keyTable.defaults.filter(({ grantee }) => reaches(catalog, grantee));
      yield {
        object: `table "${seal.schema}.${seal.keyTableName}"`,
        message: [
          `It holds the keys of the tenant seal, and ${exposed.map(({ text }) => text).join('; ')}.`,
          ...granted.map(
            ({ privilege, column, grantee }) =>
              `${privilege}${column === null ? '' : ` (${column})`} is granted to ${granteeName(grantee)}.`,
          ),
          ...(byDefault.length > 0 ? [`Default privileges of "${keyTable.owner}" grant it.`] : []),
        ].join(' '),
        fix: fixOf(catalog, seal, keyTable, { exposed, granted, byDefault }),
      };
    }
  },
});

interface Exposure {
  readonly role: string;
  readonly text: string;
}

/** The app role and what it may become. What its owner may do is RLS062's. */
function exposures(
  { appRole, roles }: Catalog,
  { reach }: CatalogSeal,
  { owner }: CatalogSealKeyTable,
): Exposure[] {
  const isOwners = (name: string) => name === owner || roles.get(owner)?.inherited === true;
  return reach.flatMap(({ role, table }) => {
    if (table.length === 0 || role === owner || (role === appRole.name && isOwners(role))) return [];
    const known = roles.get(role);
    const how =
      role === appRole.name
        ? ''
        : known?.inherited
          ? ', which the app role inherits,'
          : known?.settable
            ? ', which the app role may become,'
            : known?.grantable
              ? ', which the app role may grant itself,'
              : undefined;
    return how === undefined ? [] : [{ role, text: `role "${role}"${how} has ${table.join(', ')} on it` }];
  });
}

function reaches({ appRole, roles }: Catalog, grantee: string | null): boolean {
  if (grantee === null || grantee === appRole.name) return true;
  const role = roles.get(grantee);
  return role !== undefined && (role.inherited || role.settable || role.grantable);
}

/** PostgreSQL's own roles have their rights on every table, whatever is granted. */
const EVERY_TABLE = ['pg_read_all_data', 'pg_write_all_data', 'pg_maintain'];

function fixOf(
  { appRole }: Catalog,
  seal: CatalogSeal,
  { owner }: CatalogSealKeyTable,
  {
    exposed,
    granted,
    byDefault,
  }: {
    exposed: readonly Exposure[];
    granted: CatalogSealKeyTable['grants'];
    byDefault: CatalogSealKeyTable['defaults'];
  },
): string {
  const columns = [...new Set(granted.flatMap(({ column }) => column ?? []))];
  const grantees = granted.map(({ grantee }) => grantee);
  const members = exposed.filter(({ role }) => EVERY_TABLE.includes(role));
  return [
    // REVOKE ALL on a table takes the privileges on its columns as well.
    ...(grantees.length > 0 || columns.length > 0
      ? [revoke('ALL', `TABLE ${quotedKeyTable(seal)}`, grantees)]
      : []),
    ...byDefault.map(({ schema, privilege, grantee }) =>
      revokeDefault({ owner, schema, grantee, objectType: 'r', privilege }, [privilege], 'TABLES'),
    ),
    ...members.map(({ role }) => revokeRole(role, appRole.name)),
    '-- The keys are known: make new ones, `rls-tenants seal-keys`, and let these expire.',
  ].join('\n');
}

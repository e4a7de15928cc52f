import type { Catalog } from '../catalog.js';
import { revokeRole } from '../fix-sql.js';
import { defineRule, type Observation } from '../rule.js';
import { quotedKeyTable, quotedSchema } from '../seal.js';
import type { CatalogSeal } from '../seal-catalog.js';
import { revokeCreate } from '../side-door-fixes.js';

/** RLS062: the owner of what verifies seals makes it verify anything. */
export const sealOwnerWithinReach = defineRule({
  id: 'RLS062',
  title: 'seal-owner-within-reach',
  severity: 'critical',
  reason:
    'The owner of the key table, the verifying functions or their schema reads the keys, writes its own or replaces what verifies them.',
  *find(catalog) {
    if (catalog.appRole.superuser) return;
    for (const seal of catalog.seals) {
      yield* owners(catalog, seal);
      yield* creators(catalog, seal);
    }
  },
});

function* owners({ appRole, roles }: Catalog, seal: CatalogSeal): Iterable<Observation> {
  for (const [owner, objects] of ownedBy(seal)) {
    const role = roles.get(owner);
    const how =
      owner === appRole.name
        ? 'owns'
        : role?.inherited
          ? `inherits "${owner}", which owns`
          : role?.settable
            ? `may SET ROLE to "${owner}", which owns`
            : role?.grantable
              ? `may grant itself "${owner}", which owns`
              : undefined;
    if (how === undefined) continue;
    yield {
      object: `role "${appRole.name}"`,
      message: `The role ${how} ${objects.map(({ name }) => name).join(', ')}, which the tenant seal depends on.`,
      fix:
        owner === appRole.name
          ? objects.map(({ sql }) => `ALTER ${sql} OWNER TO <migration role>;`).join('\n')
          : revokeRole(owner, appRole.name),
    };
  }
}

interface Owned {
  readonly name: string;
  readonly sql: string;
}

function ownedBy(seal: CatalogSeal): Map<string, Owned[]> {
  const owned = new Map<string, Owned[]>();
  const add = (owner: string, name: string, sql: string) =>
    owned.set(owner, [...(owned.get(owner) ?? []), { name, sql }]);
  add(seal.schemaOwner, `schema "${seal.schema}"`, `SCHEMA ${quotedSchema(seal)}`);
  if (seal.keyTable)
    add(seal.keyTable.owner, `table "${seal.schema}.${seal.keyTableName}"`, `TABLE ${quotedKeyTable(seal)}`);
  for (const { name, owner } of seal.functions)
    add(
      owner,
      `function "${seal.schema}.${name}()"`,
      `FUNCTION ${quotedSchema(seal)}."${name.replaceAll('"', '""')}"()`,
    );
  return owned;
}

/** What policies call is bound to them, so nothing takes its place: until the seal is taken out and put in again. */
function* creators({ appRole, roles }: Catalog, seal: CatalogSeal): Iterable<Observation> {
  const open = seal.schemaGrants.filter(({ privilege, grantee }) => {
    if (privilege !== 'CREATE' || grantee === seal.schemaOwner) return false;
    const role = grantee === null ? undefined : roles.get(grantee);
    return grantee === null || grantee === appRole.name || role?.inherited || role?.settable;
  });
  for (const grantee of new Set(open.map((one) => one.grantee))) {
    yield {
      severity: 'warning',
      object: `schema "${seal.schema}"`,
      message: `${grantee === null ? 'PUBLIC' : `Role "${grantee}"`} may create objects beside what verifies the tenant seal. Nobody but its owner has business there.`,
      fix: revokeCreate(seal.schema, grantee),
    };
  }
}

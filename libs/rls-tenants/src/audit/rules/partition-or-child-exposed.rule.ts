import { protectLike, revokeAllFrom } from '../table-fixes.js';
import type { CatalogPolicy } from '../catalog.js';
import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogRelation } from '../database-catalog.js';
import { dropPolicy, enableRls } from '../fix-sql.js';
import { defineDatabaseRule, isTable, type Observation } from '../rule.js';

/** RLS012: who names a partition or child is asked its own policies, and it has none unless somebody made them. */
export const partitionOrChildExposed = defineDatabaseRule({
  id: 'RLS012',
  title: 'partition-or-child-exposed',
  severity: 'critical',
  reason:
    'A partition or inheritance child holds rows of all tenants and inherits neither row-level security nor policies: who may name it passes by those of the table above.',
  *find(audit) {
    yield* exposedParents(audit);
    for (const relation of audit.protectedRelations) {
      const above = audit.tenantTable(relation)!;
      // A foreign table cannot have policies, and is RLS025's.
      if (above.live === relation || !isTable(relation)) continue;
      const exposed = audit.appMay(relation, 'SELECT', 'INSERT', 'UPDATE', 'DELETE');
      const object = `table "${audit.nameOf(relation)}"`;
      if (!relation.rlsEnabled || !relation.rlsForced) {
        yield {
          severity: relation.rlsEnabled ? 'warning' : exposed ? 'critical' : 'warning',
          object,
          message: `Row-level security is not ${relation.rlsEnabled ? 'forced' : 'enabled'} on this part of "${above.path}"${
            relation.rlsEnabled
              ? ': its owner passes by its policies'
              : exposed
                ? `, and the app role "${audit.catalog.appRole.name}" may name it`
                : ', which the app role may not name as yet'
          }.`,
          fix:
            relation.policies.length === 0
              ? protectLike(audit, relation, above)
              : enableRls(audit.nameOf(relation)),
        };
      } else if (exposed) yield* drift(audit, relation, above.live);
    }
  },
});

/** A parent of a tenant table that is none itself: who names it reads and writes the rows below it, unasked. */
function* exposedParents(audit: DatabaseAudit): Iterable<Observation> {
  const below = new Map<CatalogRelation, CatalogRelation>();
  for (const { live } of audit.tenantTables)
    for (const parent of parentsOf(audit, live)) if (!audit.tenantTable(parent)) below.set(parent, live);
  for (const [parent, live] of below) {
    const admitted = !parent.rlsEnabled || audit.policiesForApp(parent).some(({ permissive }) => permissive);
    if (!isTable(parent) || !admitted || !audit.appMay(parent, 'SELECT', 'UPDATE', 'DELETE')) continue;
    yield {
      object: `table "${audit.nameOf(parent)}"`,
      message: `It is a parent of "${audit.nameOf(live)}": the app role "${audit.catalog.appRole.name}" reaches every tenant's rows of that through it, in the columns of both, and the policies of the child are not asked.`,
      fix: revokeAllFrom(audit, parent),
    };
  }
}

/** At any height. */
function parentsOf(audit: DatabaseAudit, { parents }: CatalogRelation): CatalogRelation[] {
  return parents.flatMap((oid) => {
    const parent = audit.relation(oid);
    return parent ? [parent, ...parentsOf(audit, parent)] : [];
  });
}

/** What the part of the table admits the app role to, and the table does not. */
function* drift(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  above: CatalogRelation,
): Iterable<Observation> {
  const tenantColumn = audit.tenantColumnOf(relation);
  if (tenantColumn === undefined) return;
  const object = `table "${audit.nameOf(relation)}"`;
  const wider = audit
    .policiesForApp(relation)
    .find(
      (policy) =>
        policy.permissive &&
        !above.policies.some((other) => isSame(other, policy)) &&
        !audit
          .clausesOf(relation, policy)
          .every(({ expression }) => audit.holdsToTenant(expression, tenantColumn)),
    );
  if (wider) {
    yield {
      severity: 'error',
      object,
      message: `Policy "${wider.name}" shows the app role rows here that the policies of "${audit.nameOf(above)}" hide.`,
      fix: dropPolicy(audit.nameOf(relation), wider.name),
    };
  }
  const missing = audit
    .policiesForApp(above)
    .find((policy) => !policy.permissive && !relation.policies.some((other) => isSame(other, policy)));
  if (missing) {
    yield {
      severity: 'error',
      object,
      message: `The restrictive policy "${missing.name}" of "${audit.nameOf(above)}" does not hold here, and the app role may name this table.`,
      fix: revokeAllFrom(audit, relation),
    };
  }
}

/** The deparser writes the same expression of the same columns in the same words. */
function isSame(one: CatalogPolicy, other: CatalogPolicy): boolean {
  return (
    one.permissive === other.permissive &&
    one.appliesToAppRole === other.appliesToAppRole &&
    (one.command === 'ALL' || one.command === other.command) &&
    one.using === other.using &&
    one.withCheck === other.withCheck
  );
}

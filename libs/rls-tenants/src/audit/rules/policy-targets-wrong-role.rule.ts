import { dropPolicy } from '../fix-sql.js';
import type { CatalogPolicy } from '../catalog.js';
import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogRelation } from '../database-catalog.js';
import { defineDatabaseRule } from '../rule.js';
import { alterPolicyToPublic } from '../table-fixes.js';

/** RLS052: a policy counts for the roles it names and those that inherit them, and the app role is none of them. */
export const policyTargetsWrongRole = defineDatabaseRule({
  id: 'RLS052',
  title: 'policy-targets-wrong-role',
  severity: 'error',
  reason:
    'A policy that holds other roles than the app role to their tenant does not hold the app role: it sees too much, or nothing.',
  *find(audit) {
    const { appRole } = audit.catalog;
    if (appRole.superuser || appRole.bypassRls) return;
    for (const relation of audit.protectedRelations) {
      if (!relation.rlsEnabled) continue;
      const admitted = audit.policiesForApp(relation).some(({ permissive }) => permissive);
      for (const policy of relation.policies) {
        const finding = { object: `policy "${policy.name}" on table "${audit.nameOf(relation)}"` };
        const roles = policy.roles.map((role) => `"${role}"`).join(', ');
        if (!policy.appliesToAppRole && readsTenant(audit, relation, policy)) {
          // A policy for the tenants of another login is nothing against the app role's own.
          if (policy.permissive && admitted) continue;
          yield {
            ...finding,
            message: `It is for ${roles}, and the app role "${appRole.name}" is not: ${
              policy.permissive ? 'no policy admits it to any row' : 'nothing restricts it'
            }.`,
            fix: alterPolicyToPublic(audit, relation, policy.name),
          };
        } else if (isForExemptOnly(audit, policy)) {
          yield {
            ...finding,
            severity: 'warning',
            message: `It is for ${roles} only, whom PostgreSQL asks no policy: it does nothing.`,
            fix: dropPolicy(audit.nameOf(relation), policy.name),
          };
        }
      }
    }
  },
});

function readsTenant(audit: DatabaseAudit, relation: CatalogRelation, policy: CatalogPolicy): boolean {
  return audit.clausesOf(relation, policy).some(({ expression }) => audit.readsTenant(expression));
}

function isForExemptOnly(audit: DatabaseAudit, { roles }: CatalogPolicy): boolean {
  return roles.every((role) => role !== 'public' && audit.roles.isExempt(role));
}

import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogRelation } from '../database-catalog.js';
import { alterClauses, canonicalPredicate } from '../performance-fixes.js';
import type { PolicyExpression } from '../policy-expression.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS077: the planner looks through a setting, and not through a sub-select around it. */
export const tenantHiddenFromPlanner = defineDatabaseRule({
  id: 'RLS077',
  title: 'tenant-hidden-from-planner',
  severity: 'warning',
  reason:
    'Behind a sub-select PostgreSQL does not know which tenant it plans for: it takes every tenant for an average one, and plans joins of small and large tenants badly.',
  *find(audit) {
    for (const relation of audit.protectedRelations) {
      for (const policy of audit.policiesForApp(relation)) {
        const clauses = audit.clausesOf(relation, policy);
        const hides = clauses.some((one) => hidesTenant(audit, relation, one.expression));
        const fix = hides
          ? alterClauses(audit, relation, policy, (clause) => canonicalPredicate(audit, relation, clause))
          : undefined;
        if (fix === undefined) continue;
        yield {
          object: `policy "${policy.name}" on table "${audit.nameOf(relation)}"`,
          message: 'It compares the tenant column with a sub-select that does no more than read the setting.',
          fix,
        };
      }
    }
  },
});

/** `tenant column = (SELECT setting)`, with nothing that would be expensive outside of the sub-select. */
function hidesTenant(audit: DatabaseAudit, relation: CatalogRelation, expression: PolicyExpression): boolean {
  return (
    expression.hasSubselect &&
    expression.relations.length === 0 &&
    expression.settings.every(({ perRow }) => !perRow) &&
    canonicalPredicate(audit, relation, { expression }) !== undefined
  );
}

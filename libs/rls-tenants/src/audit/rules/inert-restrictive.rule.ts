import { judgedPolicies, quoteClauses } from '../policy-judgement.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS059: it looks like a floor under all other policies, and holds nothing. */
export const inertRestrictive = defineDatabaseRule({
  id: 'RLS059',
  title: 'inert-restrictive',
  severity: 'warning',
  reason:
    'A restrictive policy without an expression, or with one that is always true, looks like a floor under the other policies and narrows nothing.',
  *find(audit) {
    for (const judged of judgedPolicies(audit)) {
      const { policy, clauses } = judged;
      if (policy.permissive || !clauses.every(({ expression }) => expression.constant === true)) continue;
      yield {
        object: judged.object,
        message: `It is restrictive, but ${clauses.length === 0 ? 'has no expression' : `is always true: ${quoteClauses(clauses)}`}.`,
        fix: judged.fix,
      };
    }
  },
});

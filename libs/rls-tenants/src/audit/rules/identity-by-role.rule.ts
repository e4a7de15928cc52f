import { judgedPolicies, quoteClauses } from '../policy-judgement.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS055: under a pool every tenant's statements run as the one app role. */
export const identityByRole = defineDatabaseRule({
  id: 'RLS055',
  title: 'identity-by-role',
  severity: 'warning',
  reason:
    'All tenants share the role of the connection pool, so a policy that compares a column with current_user tells none of them apart.',
  *find(audit) {
    for (const judged of judgedPolicies(audit)) {
      const byRole = judged.clauses.filter(({ expression }) =>
        expression.comparisons.some(({ identities }) => identities.length > 0),
      );
      if (byRole.length === 0) continue;
      yield {
        object: judged.object,
        message: `It compares a column with the role, which is ${audit.catalog.appRole.name} for every tenant: ${quoteClauses(byRole)}.`,
        fix: judged.fix,
      };
    }
  },
});

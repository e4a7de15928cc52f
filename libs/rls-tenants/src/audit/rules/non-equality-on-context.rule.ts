import { admittingClauses, judgedPolicies, quoteClauses } from '../policy-judgement.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS057: LIKE, a regular expression or a list takes a tenant id for more than one tenant. */
export const nonEqualityOnContext = defineDatabaseRule({
  id: 'RLS057',
  title: 'non-equality-on-context',
  severity: 'error',
  reason:
    'A tenant column that is matched against the setting, and not compared by =, follows wildcards and lists in a tenant id into other tenants.',
  *find(audit) {
    for (const judged of judgedPolicies(audit)) {
      const closed = admittingClauses(audit, judged, { setting: 'other' });
      const open = admittingClauses(audit, judged, { setting: 'other', patternsMatch: true }).filter(
        (clause) => !closed.includes(clause),
      );
      if (open.length === 0) continue;
      yield {
        object: judged.object,
        message: `It matches the tenant column against the setting: ${quoteClauses(open)}.`,
        fix: judged.fix,
      };
    }
  },
});

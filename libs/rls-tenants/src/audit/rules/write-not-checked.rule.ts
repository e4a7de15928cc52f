import { admittingClauses, judgedPolicies, quoteClauses } from '../policy-judgement.js';
import { defineDatabaseRule } from '../rule.js';

/**
 * RLS010: WITH CHECK can be true for another tenant's row. Without a WITH CHECK, PostgreSQL checks written rows against
 * USING, and a policy FOR INSERT admits none.
 */
export const writeNotChecked = defineDatabaseRule({
  id: 'RLS010',
  title: 'write-not-checked',
  severity: 'critical',
  reason:
    'A WITH CHECK that does not hold written rows to the tenant in context lets the app role insert or move rows into another tenant.',
  *find(audit) {
    for (const judged of judgedPolicies(audit)) {
      const open = admittingClauses(audit, judged, { setting: 'other' }).filter(
        ({ clause }) => clause === 'WITH CHECK',
      );
      if (open.length === 0) continue;
      yield {
        object: judged.object,
        message: `It admits written rows of other tenants for ${judged.policy.command}: ${quoteClauses(open)}.`,
        fix: judged.fix,
      };
    }
  },
});

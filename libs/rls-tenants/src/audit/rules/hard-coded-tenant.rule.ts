import { admittingClauses, judgedPolicies, quoteClauses } from '../policy-judgement.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS056: a literal that is compared with the tenant column admits everybody to that tenant's rows. */
export const hardCodedTenant = defineDatabaseRule({
  id: 'RLS056',
  title: 'hard-coded-tenant',
  severity: 'error',
  reason: 'A policy that names a tenant shows that tenant’s rows to every other tenant.',
  *find(audit) {
    for (const judged of judgedPolicies(audit)) {
      const closed = admittingClauses(audit, judged, { setting: 'other' });
      const open = admittingClauses(audit, judged, { setting: 'other', literalsMatch: true }).filter(
        (clause) => !closed.includes(clause),
      );
      if (open.length === 0) continue;
      yield {
        object: judged.object,
        message: `It compares the tenant column with a literal: ${quoteClauses(open)}.`,
        fix: judged.fix,
      };
    }
  },
});

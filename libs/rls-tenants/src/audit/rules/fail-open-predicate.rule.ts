import { admittingClauses, judgedPolicies, quoteClauses } from '../policy-judgement.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS008: with a tenant in context the policy holds, without one it opens. A policy open in both is RLS007's. */
export const failOpenPredicate = defineDatabaseRule({
  id: 'RLS008',
  title: 'fail-open-predicate',
  severity: 'critical',
  reason:
    'A predicate that can be true while the tenant setting is NULL or empty shows rows to whoever forgot the tenant.',
  *find(audit) {
    for (const judged of judgedPolicies(audit)) {
      const closed = new Set(judged.clauses);
      admittingClauses(audit, judged, { setting: 'other' }).forEach((clause) => closed.delete(clause));
      const unset = admittingClauses(audit, judged, { setting: 'unset' }).filter((one) => closed.has(one));
      const empty = admittingClauses(audit, judged, { setting: 'empty' }).filter((one) => closed.has(one));
      const open = judged.clauses.filter((one) => unset.includes(one) || empty.includes(one));
      if (open.length === 0) continue;
      const when = [unset.length > 0 && 'NULL (never set)', empty.length > 0 && "'' (after its first use)"];
      yield {
        object: judged.object,
        message: `It can be true while the tenant setting is ${when.filter(Boolean).join(' or ')}: ${quoteClauses(open)}.`,
        fix: judged.fix,
      };
    }
  },
});

import { judgedPolicies, otherSettingsOf } from '../policy-judgement.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS050: the policy reads the tenant from a setting that the application does not write. */
export const gucNameMismatch = defineDatabaseRule({
  id: 'RLS050',
  title: 'guc-name-mismatch',
  severity: 'critical',
  reason:
    'A policy that reads the tenant from another setting than the application writes shows no rows, or those of whichever tenant was left in that setting.',
  *find(audit) {
    for (const judged of judgedPolicies(audit)) {
      const read = judged.clauses
        .flatMap((clause) => otherSettingsOf(audit, judged.relation, clause))
        .filter(({ asTenant }) => asTenant)
        .map(({ name }) => describe(name));
      if (read.length === 0) continue;
      yield {
        object: judged.object,
        message: `It compares the tenant with ${[...new Set(read)].join(', ')}, but the tenant is in ${audit.tenantSettings.join(', ')}.`,
        fix: judged.fix,
      };
    }
  },
});

function describe(name: string | undefined): string {
  if (name === undefined) return 'a setting whose name is computed';
  return name.includes('.') ? name : `${name} (without a dot: not a custom setting)`;
}

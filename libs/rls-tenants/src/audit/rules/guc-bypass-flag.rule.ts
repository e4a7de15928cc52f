import { admittingClauses, judgedPolicies, otherSettingsOf } from '../policy-judgement.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS028: who sets a setting that is not the tenant's sees other tenants' rows. One that only narrows is no finding. */
export const gucBypassFlag = defineDatabaseRule({
  id: 'RLS028',
  title: 'guc-bypass-flag',
  severity: 'error',
  reason:
    'Any session may set any custom setting: a policy that opens for one is switched off by a single injected or forgotten set_config.',
  *find(audit) {
    for (const judged of judgedPolicies(audit)) {
      const flags = judged.clauses.flatMap((clause) => otherSettingsOf(audit, judged.relation, clause));
      // A tenant column that is compared with another setting is RLS050's.
      if (flags.length === 0 || flags.some(({ asTenant }) => asTenant)) continue;
      const opens = (['other', 'unset'] as const).some(
        (setting) =>
          admittingClauses(audit, judged, { setting, otherSettings: true }).length >
          admittingClauses(audit, judged, { setting }).length,
      );
      if (!opens) continue;
      const names = [...new Set(flags.map(({ name }) => name ?? 'a computed name'))];
      yield {
        object: judged.object,
        message: `It shows other tenants' rows to a session that sets ${names.join(', ')}, which any session may.`,
        fix: `${judged.fix}\n-- Whoever must see all rows does so by a role: SET ROLE to the admin role, whose policy is unconditional.`,
      };
    }
  },
});

import { admittingClauses, judgedPolicies, quoteClauses } from '../policy-judgement.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS007: with a tenant in context, the policy can be true for another tenant's row. */
export const policyNotTenantScoped = defineDatabaseRule({
  id: 'RLS007',
  title: 'policy-not-tenant-scoped',
  severity: 'critical',
  reason:
    'A permissive policy that does not hold rows to the tenant in context shows the app role the rows of other tenants, whatever other policies say.',
  *find(audit) {
    for (const judged of judgedPolicies(audit)) {
      const open = admittingClauses(audit, judged, { setting: 'other' }).filter(
        ({ clause }) => clause === 'USING',
      );
      if (open.length === 0) continue;
      const unreadable = open[0]!.expression.unreadable;
      yield {
        object: judged.object,
        message:
          unreadable === undefined
            ? `With a tenant in context it can be true for another tenant's row: ${quoteClauses(open)}.`
            : `It cannot be parsed (${unreadable}), so nothing shows that it holds rows to the tenant: ${quoteClauses(open)}.`,
        fix: judged.fix,
      };
    }
  },
});

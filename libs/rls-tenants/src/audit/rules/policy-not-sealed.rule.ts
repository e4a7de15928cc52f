import { defineRule } from '../rule.js';
import { formsOf } from '../seal.js';
import { policyObject, sealableTables, sealPolicy, tenantPoliciesOf } from '../sealed-policies.js';

/** RLS064: what a policy does not ask for, no seal keeps. */
export const policyNotSealed = defineRule({
  id: 'RLS064',
  title: 'policy-not-sealed',
  severity: 'warning',
  reason:
    'In a database with a tenant seal, a policy that reads the plain setting still takes any tenant from any statement.',
  *find({ seals }, context) {
    for (const table of sealableTables(context, seals)) {
      const policies = tenantPoliciesOf(table, context).map((policy) => ({
        policy,
        ...formsOf(policy, table.live, table.seal),
      }));
      const isMixed = policies.some(({ sealed }) => sealed);
      for (const { policy, plain } of policies) {
        if (!plain) continue;
        yield {
          // Somebody takes the table for a sealed one.
          ...(isMixed ? { severity: 'error' as const } : {}),
          object: policyObject(table, policy),
          message: isMixed
            ? 'It reads the plain setting, where other expressions of the table’s policies ask for the seal: this one admits whoever sets the setting.'
            : 'It reads the plain setting, in which any SQL that runs on the connection puts another tenant.',
          fix: sealPolicy(table, policy),
        };
      }
    }
  },
});

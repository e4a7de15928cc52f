import { parseExpression, type PolicyExpression } from '../policy-expression.js';
import { defineRule } from '../rule.js';
import { callsSeal, comparesSeal, holdsToSeal, readsPlainly } from '../seal.js';
import { policyObject, sealableTables, sealPolicy, type SealableTable } from '../sealed-policies.js';

/** RLS065: a seal that is verified once, and rows that are admitted by something else. */
export const sealCircumvented = defineRule({
  id: 'RLS065',
  title: 'seal-circumvented',
  severity: 'critical',
  reason:
    'A statement can set another tenant while it runs: a policy that verifies the seal once, and admits rows by what the statement can change, admits it to that tenant’s rows.',
  *find({ seals }, context) {
    for (const table of sealableTables(context, seals)) {
      for (const policy of table.live.policies) {
        const { using, withCheck } = policy;
        const flaws = [
          ...(using === null ? [] : flawsIn(table, parseExpression(using, table.live.name), true)),
          ...(withCheck === null ? [] : flawsIn(table, parseExpression(withCheck, table.live.name), false)),
        ];
        if (flaws.length === 0) continue;
        yield {
          object: policyObject(table, policy),
          message: `It asks for the tenant seal, and ${[...new Set(flaws)].join('; ')}.`,
          fix: sealPolicy(table, policy),
        };
      }
    }
  },
});

/** @param chooses rows are looked for by it, which is when PostgreSQL puts what equals each other into one class. */
function flawsIn({ seal, live }: SealableTable, expression: PolicyExpression, chooses: boolean): string[] {
  if (!callsSeal(expression, seal) || holdsToSeal(expression, seal)) return [];
  if (readsPlainly(expression, seal))
    return ['reads the plain setting as well, by which rows are then admitted'];
  return chooses && comparesSeal(expression, seal, '=')
    ? [
        `compares a column of "${live.name}" by plain equality: beside a condition of a statement's own PostgreSQL checks the seal once, and then looks for rows by that condition`,
      ]
    : [];
}

import { alterPolicySql, tenantTablePredicate } from '../../policies/index.js';
import { asksForSeal, shapeProblem } from '../policy-shape.js';
import { changes, defineRule } from '../rule.js';

/** MIG052: A policy with CASE or OR cannot use the tenant index, one without NULLIF fails on the empty setting, and one that admits a setting as admin admits everybody who can set it. */
export const policyShape = defineRule({
  id: 'MIG052',
  title: 'policy-shape',
  severity: 'error',
  reason:
    'A policy with CASE or OR cannot use the tenant index, one without NULLIF fails on the empty setting, and one that admits a setting as admin admits everybody who can set it.',
  *find(migration, context) {
    const policies = (['create-policy', 'alter-policy'] as const).flatMap((kind) =>
      (['up', 'down'] as const).flatMap((direction) => changes(migration, direction, kind)),
    );
    for (const { statement, change } of policies) {
      // A restrictive policy only takes rows away.
      if (!change.permissive) continue;
      for (const predicate of [change.using, change.withCheck]) {
        if (!predicate) continue;
        const problem = shapeProblem(predicate, change, context);
        if (problem === undefined) continue;
        const { tenantColumn, tenantSetting } = context;
        const sealed = asksForSeal(predicate, tenantSetting);
        const wanted = tenantTablePredicate({
          table: change.table,
          tenantIdType: 'uuid',
          tenantColumn,
          tenantSetting,
          sealed,
        });
        yield {
          at: statement,
          message: `Policy "${change.name}" of "${change.table}": ${problem}.`,
          fix: alterPolicySql(change.table, change.name, wanted) + ';',
        };
        break;
      }
    }
  },
});

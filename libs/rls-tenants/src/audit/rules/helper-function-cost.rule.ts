import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogFunction, CatalogRelation } from '../database-catalog.js';
import { defineDatabaseRule } from '../rule.js';
import { isSealFunction } from '../seal.js';
import { alterFunction, functionObject } from '../side-door-fixes.js';

/** RLS074: how a policy's function is declared decides how every statement on its tables can be planned. */
export const helperFunctionCost = defineDatabaseRule({
  id: 'RLS074',
  title: 'helper-function-cost',
  severity: 'warning',
  reason:
    'A VOLATILE function in a policy is called for each row and rules out the index; a PARALLEL UNSAFE one, which is the default, rules out parallel plans on all its tables.',
  *find(audit) {
    for (const [one, tables] of functionsInPolicies(audit)) {
      // RLS061 compares those with the library's.
      if (isSealFunction(audit.catalog, one.oid)) continue;
      const costs = [
        ...(one.volatility === 'v' ? ['VOLATILE: it is no index condition'] : []),
        ...(one.parallel === 'u'
          ? ['PARALLEL UNSAFE: no statement on the table is planned in parallel']
          : []),
      ];
      if (costs.length === 0) continue;
      yield {
        object: functionObject(one),
        message: `The policies of ${[...tables].map((table) => `"${audit.nameOf(table)}"`).join(', ')} call it, and it is ${costs.join('; ')}.`,
        fix: `-- Unless it writes, uses a sequence or changes a setting.\n${alterFunction(one, 'STABLE PARALLEL SAFE')}`,
      };
    }
  },
});

function functionsInPolicies(audit: DatabaseAudit): Map<CatalogFunction, Set<CatalogRelation>> {
  const found = new Map<CatalogFunction, Set<CatalogRelation>>();
  for (const relation of audit.protectedRelations) {
    for (const policy of audit.policiesForApp(relation)) {
      for (const oid of audit.dependenciesOf(relation, policy)?.functions ?? []) {
        const one = audit.function(oid);
        if (one) found.set(one, (found.get(one) ?? new Set()).add(relation));
      }
    }
  }
  return found;
}

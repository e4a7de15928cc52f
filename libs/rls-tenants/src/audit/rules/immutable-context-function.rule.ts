import type { CatalogFunction } from '../database-catalog.js';
import { FunctionBodies, policyFunctions } from '../function-bodies.js';
import { defineDatabaseRule } from '../rule.js';
import { isSealFunction } from '../seal.js';
import { alterFunction, functionObject } from '../side-door-fixes.js';

const CONTEXT = ['current_setting', 'current_user', 'current_role', 'session_user', 'user'];

/** RLS034: PostgreSQL computes an IMMUTABLE function when it plans, and keeps the plan. */
export const immutableContextFunction = defineDatabaseRule({
  id: 'RLS034',
  title: 'immutable-context-function',
  severity: 'critical',
  reason:
    'An IMMUTABLE function that a policy asks for the tenant is computed once for a plan that is kept, and the next tenant gets the rows of the first.',
  *find(audit) {
    const bodies = new FunctionBodies(audit);
    for (const [one, policy] of policyFunctions(audit, bodies)) {
      if (one.volatility !== 'i' || one.extension !== null || !dependsOnContext(bodies, one)) continue;
      // RLS061 compares those with the library's.
      if (isSealFunction(audit.catalog, one.oid)) continue;
      yield {
        object: functionObject(one),
        message: `It is IMMUTABLE and ${one.body === null ? 'compiled, so that nobody can say what it reads' : 'reads what differs between statements'}; ${policy} calls it.`,
        fix: alterFunction(one, 'STABLE'),
      };
    }
  },
});

/** Itself or through what it calls: a setting, who is asking, or, without arguments to compute from, a table. */
function dependsOnContext(bodies: FunctionBodies, start: CatalogFunction): boolean {
  return bodies.reach(start).some((one) => {
    const words = bodies.wordsOf(one);
    if (one.body === null && one.extension === null) return true;
    return CONTEXT.some((word) => words.has(word)) || (one.arguments === '' && words.has('from'));
  });
}

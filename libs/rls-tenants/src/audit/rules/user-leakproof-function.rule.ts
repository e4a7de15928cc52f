import { defineDatabaseRule } from '../rule.js';
import { alterFunction, functionObject } from '../side-door-fixes.js';

/** RLS033: LEAKPROOF is a promise that nobody checks; PostgreSQL evaluates such a function before the policy. */
export const userLeakproofFunction = defineDatabaseRule({
  id: 'RLS033',
  title: 'user-leakproof-function',
  severity: 'error',
  reason:
    'A LEAKPROOF function sees rows before the policy has dropped them, and may tell of them in an error, a notice or the time it takes.',
  *find(audit) {
    for (const one of audit.database.functions) {
      if (!one.leakproof || one.extension !== null || !audit.appMayCall(one)) continue;
      yield {
        object: functionObject(one),
        message: `It is marked LEAKPROOF (${one.language}), so that a condition that calls it is evaluated on the rows of every tenant.`,
        fix: alterFunction(one, 'NOT LEAKPROOF'),
      };
    }
  },
});

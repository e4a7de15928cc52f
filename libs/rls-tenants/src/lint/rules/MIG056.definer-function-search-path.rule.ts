import { changes, defineRule } from '../rule.js';

/** MIG056: A SECURITY DEFINER function without a search path of its own runs what its caller put in front, with its owner's rights. */
export const definerFunctionSearchPath = defineRule({
  id: 'MIG056',
  title: 'definer-function-search-path',
  severity: 'error',
  reason:
    "A SECURITY DEFINER function without a search path of its own runs what its caller put in front, with its owner's rights.",
  *find(migration) {
    for (const { statement, change } of changes(migration, 'up', 'definer-function')) {
      if (change.searchPath) continue;
      yield {
        at: statement,
        message: `Function "${change.name}" runs with its owner's rights under its caller's search path.`,
        fix: 'Add SET search_path = pg_catalog, pg_temp, and qualify every name in its body.',
      };
    }
  },
});

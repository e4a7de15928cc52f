import { concurrentIndexes } from '../corrected-file.js';
import { changes, defineRule } from '../rule.js';

/** MIG087: If the index of one table fails, the rollback drops the other's as well, and neither can be recorded as done without the other. */
export const indexesOfSeveralTables = defineRule({
  id: 'MIG087',
  title: 'indexes-of-several-tables',
  severity: 'error',
  reason:
    "If the index of one table fails, the rollback drops the other's as well, and neither can be recorded as done without the other.",
  *find(migration, context) {
    const indexes = changes(migration, 'up', 'create-index');
    const [first] = indexes.map(({ change }) => context.rootOf(change.table));
    const reported = new Set<string>();
    for (const { statement, change } of indexes) {
      const table = context.rootOf(change.table);
      if (table === first || reported.has(table)) continue;
      reported.add(table);
      yield {
        at: statement,
        message: `An index of "${change.table}" in the migration of the indexes of "${first}".`,
        fix: 'Give the indexes of each table a migration of their own, named after it.',
        files: [
          concurrentIndexes(
            migration,
            table,
            indexes.filter((one) => context.rootOf(one.change.table) === table),
            reported.size + 1,
          ),
        ],
      };
    }
  },
});

import { createdTables } from '../context.js';
import { concurrentIndexes } from '../corrected-file.js';
import type { Migration } from '../migration.js';
import { changes, defineRule } from '../rule.js';

/** MIG086: If an index of the same migration fails, the table goes with it; and the index cannot be recorded as done, or built by hand, without the table. */
export const indexWithTable = defineRule({
  id: 'MIG086',
  title: 'index-with-table',
  severity: 'error',
  reason:
    'If an index of the same migration fails, the table goes with it; and the index cannot be recorded as done, or built by hand, without the table.',
  *find(migration) {
    const created = new Set(createdTables(migration));
    for (const { statement, change } of changes(migration, 'up', 'create-index')) {
      if (!created.has(change.table)) continue;
      yield {
        at: statement,
        message: `Index "${change.name ?? change.table}" is created in the migration of its table "${change.table}". Constraints belong there, indexes do not.`,
        fix: 'Move the indexes of the table into a migration of their own.',
        files: [concurrentIndexes(migration, change.table, indexesOf(migration, change.table))],
      };
      // One finding for each table: the corrected file has all its indexes.
      created.delete(change.table);
    }
  },
});

function indexesOf(migration: Migration, table: string) {
  return changes(migration, 'up', 'create-index').filter(({ change }) => change.table === table);
}

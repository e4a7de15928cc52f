import { createdTables } from '../context.js';
import { concurrentIndexes } from '../corrected-file.js';
import type { Migration } from '../migration.js';
import { changes, defineRule } from '../rule.js';

/** MIG020: CREATE INDEX locks the table against writes until the index is built: minutes on a large table. */
export const createIndexNotConcurrent = defineRule({
  id: 'MIG020',
  title: 'create-index-not-concurrent',
  severity: 'error',
  reason: 'CREATE INDEX locks the table against writes until the index is built: minutes on a large table.',
  *find(migration, context) {
    const created = createdTables(migration);
    for (const { statement, change } of changes(migration, 'up', 'create-index')) {
      if (change.concurrently || change.only || created.has(change.table)) continue;
      if (context.isPartitioned(change.table)) continue;
      const sql = statement.sql.replace(/\bINDEX\b(?:\s+IF\s+NOT\s+EXISTS)?/i, 'INDEX CONCURRENTLY');
      yield {
        at: statement,
        message: `SHARE lock on "${change.table}": no INSERT, UPDATE or DELETE until the index is built.`,
        fix: `${sql};`,
        files: [concurrentIndexes(migration, change.table, indexesOf(migration, change.table))],
      };
    }
  },
});

function indexesOf(migration: Migration, table: string) {
  return changes(migration, 'up', 'create-index').filter(({ change }) => change.table === table);
}

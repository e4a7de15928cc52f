import { createdTables } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG070: DETACH PARTITION takes ACCESS EXCLUSIVE on the parent: all traffic of all partitions waits. */
export const detachNotConcurrent = defineRule({
  id: 'MIG070',
  title: 'detach-not-concurrent',
  severity: 'error',
  reason: 'DETACH PARTITION takes ACCESS EXCLUSIVE on the parent: all traffic of all partitions waits.',
  *find(migration) {
    const created = createdTables(migration);
    for (const { statement, change } of changes(migration, 'up', 'detach-partition')) {
      if (change.concurrently || created.has(change.table)) continue;
      yield {
        at: statement,
        message: `ACCESS EXCLUSIVE lock on "${change.table}" and on "${change.partition}": short, but behind the longest running query, with all traffic waiting.`,
        fix: `${statement.sql} CONCURRENTLY; -- in a migration with transaction = false; not where there is a DEFAULT partition`,
      };
    }
  },
});

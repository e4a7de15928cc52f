import { changes, defineRule } from '../rule.js';

/** MIG021: DROP INDEX takes ACCESS EXCLUSIVE on the table: it waits for every running query, and every new one waits behind it. */
export const dropIndexNotConcurrent = defineRule({
  id: 'MIG021',
  title: 'drop-index-not-concurrent',
  severity: 'warning',
  reason:
    'DROP INDEX takes ACCESS EXCLUSIVE on the table: it waits for every running query, and every new one waits behind it.',
  *find(migration) {
    const created = new Set(changes(migration, 'up', 'create-index').map(({ change }) => change.name));
    for (const { statement, change } of changes(migration, 'up', 'drop-index')) {
      if (change.concurrently || created.has(change.name)) continue;
      yield {
        at: statement,
        message: `ACCESS EXCLUSIVE lock on the table of "${change.name}": short, but behind the longest running query, with all traffic waiting.`,
        fix: `${statement.sql.replace(/\bINDEX\b/i, 'INDEX CONCURRENTLY')}; -- in a migration with transaction = false; not for an index of a partitioned table`,
      };
    }
  },
});

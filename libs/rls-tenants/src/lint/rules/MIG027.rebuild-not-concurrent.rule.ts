import { changes, defineRule } from '../rule.js';

/** MIG027: REINDEX and REFRESH MATERIALIZED VIEW lock out writers or readers for as long as they run, unless they say CONCURRENTLY. */
export const rebuildNotConcurrent = defineRule({
  id: 'MIG027',
  title: 'rebuild-not-concurrent',
  severity: 'warning',
  reason:
    'REINDEX and REFRESH MATERIALIZED VIEW lock out writers or readers for as long as they run, unless they say CONCURRENTLY.',
  *find(migration) {
    for (const { statement, change } of [
      ...changes(migration, 'up', 'reindex'),
      ...changes(migration, 'up', 'refresh'),
    ]) {
      if (change.concurrently) continue;
      yield {
        at: statement,
        message:
          change.kind === 'reindex'
            ? `SHARE lock on the table of "${change.name}" and ACCESS EXCLUSIVE on its index until it is rebuilt.`
            : `ACCESS EXCLUSIVE lock on "${change.name}" until its query is done: no reads.`,
        fix: `${statement.sql.replace(/\b(TABLE|INDEX|VIEW)\b/i, '$1 CONCURRENTLY')};`,
      };
    }
  },
});

import { createdTables } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG042: TRUNCATE, VACUUM FULL, CLUSTER, LOCK TABLE, SET LOGGED and DISABLE TRIGGER lock out all traffic or switch a protection off. */
export const heavyStatement = defineRule({
  id: 'MIG042',
  title: 'heavy-statement',
  severity: 'error',
  reason:
    'TRUNCATE, VACUUM FULL, CLUSTER, LOCK TABLE, SET LOGGED and DISABLE TRIGGER lock out all traffic or switch a protection off.',
  *find(migration) {
    const created = createdTables(migration);
    for (const { statement, change } of changes(migration, 'up', 'heavy')) {
      if (change.table !== undefined && created.has(change.table)) continue;
      const table = change.table === undefined ? 'its tables' : `"${change.table}"`;
      yield {
        at: statement,
        message: `${change.what} takes ${change.what === 'DISABLE TRIGGER' ? 'SHARE ROW EXCLUSIVE' : 'ACCESS EXCLUSIVE (LOCK TABLE: unless it names another mode)'} on ${table}${change.what === 'TRUNCATE' ? ', and row-level security does not hold it back: it empties the table for every tenant' : ' until the end of the transaction'}.`,
        fix: 'Leave it out of migrations: delete in batches, VACUUM without FULL, and let triggers be.',
      };
    }
  },
});

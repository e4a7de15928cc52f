import { createdTables } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG037: ALTER COLUMN … TYPE writes the table anew under ACCESS EXCLUSIVE, for all but a few types that are stored alike. */
export const columnType = defineRule({
  id: 'MIG037',
  title: 'column-type',
  severity: 'error',
  reason:
    'ALTER COLUMN … TYPE writes the table anew under ACCESS EXCLUSIVE, for all but a few types that are stored alike.',
  *find(migration) {
    const created = createdTables(migration);
    for (const { statement, change } of changes(migration, 'up', 'column-type')) {
      if (created.has(change.table)) continue;
      yield {
        at: statement,
        message: `ACCESS EXCLUSIVE lock on "${change.table}" while every row and every index on "${change.column}" is written anew.`,
        fix: 'Add a column of the new type, fill it in a backfill, and switch over. Suppress this where the type only widens (varchar(50) to varchar(60) or text): then nothing is written.',
      };
    }
  },
});

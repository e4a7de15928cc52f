import { createdTables } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG088: A statement that changes every row holds its row locks and its transaction until the last one: minutes, on a table that matters. */
export const inlineBackfill = defineRule({
  id: 'MIG088',
  title: 'inline-backfill',
  severity: 'error',
  reason:
    'A statement that changes every row holds its row locks and its transaction until the last one: minutes, on a table that matters.',
  *find(migration) {
    const created = createdTables(migration);
    for (const { statement, change } of changes(migration, 'up', 'write')) {
      if (created.has(change.table) || (!change.everyRow && !statement.repeated)) continue;
      yield {
        at: statement,
        message: change.everyRow
          ? `${change.verb} of every row of "${change.table}" in one statement: row locks, and everything that vacuum cannot clean up, until the end.`
          : `${change.verb} of "${change.table}" in a loop inside the migration: its row locks are held until the loop is done.`,
        fix: 'Let the migration only start a backfill, which works tenant by tenant in batches of its own transactions. A single statement with a WHERE that concerns few rows may stay.',
      };
    }
  },
});

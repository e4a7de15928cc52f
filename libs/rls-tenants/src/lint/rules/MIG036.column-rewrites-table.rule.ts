import { quoteIdentifier } from '../../policies/index.js';
import { createdTables } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG036: A volatile default, a stored generated column, an identity or a serial column makes ADD COLUMN write the whole table anew under ACCESS EXCLUSIVE. */
export const columnRewritesTable = defineRule({
  id: 'MIG036',
  title: 'column-rewrites-table',
  severity: 'error',
  reason:
    'A volatile default, a stored generated column, an identity or a serial column makes ADD COLUMN write the whole table anew under ACCESS EXCLUSIVE.',
  *find(migration) {
    const created = createdTables(migration);
    for (const { statement, change } of changes(migration, 'up', 'add-column')) {
      const { table, column } = change;
      if (column.rewrite === undefined || created.has(table)) continue;
      yield {
        at: statement,
        message: `ACCESS EXCLUSIVE lock on "${table}" while every row and every index is written anew: ${column.rewrite}.`,
        fix: `Add ${quoteIdentifier(column.name)} without it, then ALTER COLUMN … SET DEFAULT (which concerns new rows only), and fill the old rows in a backfill.`,
      };
    }
  },
});

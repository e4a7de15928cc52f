import { quoteIdentifier, quoteTable } from '../../policies/index.js';
import { changes, defineRule } from '../rule.js';

/** MIG038: Dropping a column and adding it again loses what was in it. It is what `migration:generate` writes when a column's type or length changes. */
export const dropAndReaddColumn = defineRule({
  id: 'MIG038',
  title: 'drop-and-readd-column',
  severity: 'error',
  reason:
    "Dropping a column and adding it again loses what was in it. It is what `migration:generate` writes when a column's type or length changes.",
  *find(migration) {
    const dropped = new Set(
      changes(migration, 'up', 'drop-column').map(({ change }) => `${change.table}.${change.column}`),
    );
    for (const { statement, change } of changes(migration, 'up', 'add-column')) {
      const { table, column } = change;
      if (!dropped.has(`${table}.${column.name}`)) continue;
      yield {
        at: statement,
        message: `Column "${column.name}" of "${table}" is dropped and added again: what it holds is lost.`,
        fix: `ALTER TABLE ${quoteTable(table)} ALTER COLUMN ${quoteIdentifier(column.name)} TYPE …; -- where it only widens; otherwise a new column under another name, and a backfill`,
      };
    }
  },
});

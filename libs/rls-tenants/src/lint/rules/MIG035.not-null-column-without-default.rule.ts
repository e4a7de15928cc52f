import { quoteIdentifier } from '../../policies/index.js';
import { createdTables } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG035: A NOT NULL column without a default cannot be added to a table that has rows: the migration works on an empty database and fails in production. */
export const notNullColumnWithoutDefault = defineRule({
  id: 'MIG035',
  title: 'not-null-column-without-default',
  severity: 'error',
  reason:
    'A NOT NULL column without a default cannot be added to a table that has rows: the migration works on an empty database and fails in production.',
  *find(migration) {
    const created = createdTables(migration);
    for (const { statement, change } of changes(migration, 'up', 'add-column')) {
      const { table, column } = change;
      if (!column.notNull || column.hasDefault || created.has(table)) continue;
      yield {
        at: statement,
        message: `If "${table}" has a row, this fails (SQLSTATE 23502); an INSERT of the running version, which does not know "${column.name}", fails afterwards.`,
        fix: `Add ${quoteIdentifier(column.name)} without NOT NULL, fill it in a backfill, then make it NOT NULL as MIG034 shows; or give it a constant DEFAULT.`,
      };
    }
  },
});

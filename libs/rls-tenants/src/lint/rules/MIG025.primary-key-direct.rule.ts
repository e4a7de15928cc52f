import { quoteIdentifier, quoteTable } from '../../policies/index.js';
import { constraintsOnExisting } from '../context.js';
import { defineRule } from '../rule.js';

/** MIG025: ADD PRIMARY KEY builds its index under ACCESS EXCLUSIVE, and reads the table once more for NOT NULL. */
export const primaryKeyDirect = defineRule({
  id: 'MIG025',
  title: 'primary-key-direct',
  severity: 'error',
  reason:
    'ADD PRIMARY KEY builds its index under ACCESS EXCLUSIVE, and reads the table once more for NOT NULL.',
  *find(migration) {
    for (const { statement, change } of constraintsOnExisting(migration)) {
      const { constraint, table } = change;
      if (constraint.type !== 'primary key' || constraint.usingIndex) continue;
      yield {
        at: statement,
        message: `ACCESS EXCLUSIVE lock on "${table}" while the index is built and every row is read: no reads, no writes.`,
        fix: `CREATE UNIQUE INDEX CONCURRENTLY … ON ${quoteTable(table)} (${constraint.columns.map(quoteIdentifier).join(', ')});\nALTER TABLE ${quoteTable(table)} ADD PRIMARY KEY USING INDEX …; -- once the columns are NOT NULL`,
      };
    }
  },
});

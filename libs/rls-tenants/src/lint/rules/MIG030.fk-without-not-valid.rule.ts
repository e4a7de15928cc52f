import { constraintsOnExisting } from '../context.js';
import { notValidThenValidate } from '../not-valid.js';
import { defineRule } from '../rule.js';

/** MIG030: ADD FOREIGN KEY checks every row under SHARE ROW EXCLUSIVE on both tables: no writes to either until it is done. */
export const fkWithoutNotValid = defineRule({
  id: 'MIG030',
  title: 'fk-without-not-valid',
  severity: 'error',
  reason:
    'ADD FOREIGN KEY checks every row under SHARE ROW EXCLUSIVE on both tables: no writes to either until it is done.',
  *find(migration, context) {
    for (const { statement, change } of constraintsOnExisting(migration)) {
      const { constraint, table } = change;
      if (constraint.type !== 'foreign key' || constraint.notValid) continue;
      if (context.isPartitioned(table)) continue;
      yield {
        at: statement,
        message: `SHARE ROW EXCLUSIVE lock on "${table}" and "${constraint.references}" while every row is checked: no writes to either.`,
        ...notValidThenValidate(migration, statement.sql, table, constraint),
      };
    }
  },
});

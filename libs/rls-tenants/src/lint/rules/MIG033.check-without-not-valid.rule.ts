import { constraintsOnExisting } from '../context.js';
import { notValidThenValidate } from '../not-valid.js';
import { changes, defineRule } from '../rule.js';

/** MIG033: ADD CHECK reads every row under ACCESS EXCLUSIVE: neither reads nor writes until it is done. */
export const checkWithoutNotValid = defineRule({
  id: 'MIG033',
  title: 'check-without-not-valid',
  severity: 'error',
  reason: 'ADD CHECK reads every row under ACCESS EXCLUSIVE: neither reads nor writes until it is done.',
  *find(migration) {
    for (const { statement, change } of constraintsOnExisting(migration)) {
      const { constraint, table } = change;
      if (constraint.type !== 'check' || constraint.notValid) continue;
      if (changes(migration, 'up', 'add-column').some((added) => added.statement === statement)) continue;
      yield {
        at: statement,
        message: `ACCESS EXCLUSIVE lock on "${table}" while every row is checked: no reads, no writes.`,
        ...notValidThenValidate(migration, statement.sql, table, constraint),
      };
    }
  },
});

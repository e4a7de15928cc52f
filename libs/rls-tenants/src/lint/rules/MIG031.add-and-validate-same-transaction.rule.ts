import { changes, defineRule, inTransaction } from '../rule.js';

/** MIG031: VALIDATE in the transaction that added the constraint runs under the lock of the ADD: NOT VALID has gained nothing. */
export const addAndValidateSameTransaction = defineRule({
  id: 'MIG031',
  title: 'add-and-validate-same-transaction',
  severity: 'error',
  reason:
    'VALIDATE in the transaction that added the constraint runs under the lock of the ADD: NOT VALID has gained nothing.',
  *find(migration) {
    if (!inTransaction(migration)) return;
    const added = new Map(
      changes(migration, 'up', 'add-constraint').map(({ change }) => [
        `${change.table} ${change.constraint.name}`,
        change.constraint.type,
      ]),
    );
    for (const { statement, change } of changes(migration, 'up', 'validate-constraint')) {
      const type = added.get(`${change.table} ${change.name}`);
      if (type === undefined) continue;
      const lock = type === 'foreign key' ? 'SHARE ROW EXCLUSIVE' : 'ACCESS EXCLUSIVE';
      yield {
        at: statement,
        message: `"${change.name}" was added in this transaction, so that its ${lock} lock on "${change.table}" is held while every row is checked.`,
        fix: 'Move VALIDATE CONSTRAINT into the next migration.',
      };
    }
  },
});

import { defineRule, inTransaction } from '../rule.js';

/** MIG006: A BEGIN, COMMIT or ROLLBACK of the migration's own ends the runner's transaction behind its back: what follows is neither atomic nor recorded with it. */
export const manualTransaction = defineRule({
  id: 'MIG006',
  title: 'manual-transaction',
  severity: 'error',
  reason:
    "A BEGIN, COMMIT or ROLLBACK of the migration's own ends the runner's transaction behind its back: what follows is neither atomic nor recorded with it.",
  *find(migration) {
    if (!inTransaction(migration)) return;
    for (const statement of migration.statements) {
      const control = statement.changes.find((change) => change.kind === 'transaction-control');
      if (!control || /SAVEPOINT|^RELEASE|ROLLBACK TO/.test(control.what)) continue;
      yield {
        at: statement,
        message: `${control.what} interferes with the transaction that TypeORM runs this migration in.`,
        fix: 'Remove it; set `readonly transaction = false;` if the migration must not run in a transaction.',
      };
    }
  },
});

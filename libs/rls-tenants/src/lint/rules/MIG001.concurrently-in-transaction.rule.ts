import { changes, defineRule, inTransaction } from '../rule.js';

/** MIG001: PostgreSQL refuses CONCURRENTLY, VACUUM and ALTER SYSTEM inside a transaction, and TypeORM runs a migration in one unless it says `transaction = false`. */
export const concurrentlyInTransaction = defineRule({
  id: 'MIG001',
  title: 'concurrently-in-transaction',
  severity: 'error',
  reason:
    'PostgreSQL refuses CONCURRENTLY, VACUUM and ALTER SYSTEM inside a transaction, and TypeORM runs a migration in one unless it says `transaction = false`.',
  *find(migration) {
    if (!inTransaction(migration)) return;
    for (const { statement, change } of changes(migration, 'up', 'outside-transaction')) {
      if (statement.outsideTransaction) continue;
      yield {
        at: statement,
        message: `${change.what} fails inside the transaction that TypeORM runs this migration in (SQLSTATE 25001).`,
        fix: "Add `readonly transaction = false;` to the class, keep nothing else in it, and run with `migrationsTransactionMode: 'each'`.",
      };
    }
  },
});

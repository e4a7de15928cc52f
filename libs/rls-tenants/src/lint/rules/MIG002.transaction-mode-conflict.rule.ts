import { defineRule } from '../rule.js';

/** MIG002: With `migrationsTransactionMode` 'all', which is the default, TypeORM throws ForbiddenTransactionModeOverrideError before it runs anything if a migration sets `transaction`. */
export const transactionModeConflict = defineRule({
  id: 'MIG002',
  title: 'transaction-mode-conflict',
  severity: 'error',
  reason:
    "With `migrationsTransactionMode` 'all', which is the default, TypeORM throws ForbiddenTransactionModeOverrideError before it runs anything if a migration sets `transaction`.",
  *find(migration, context) {
    if (context.transactionMode !== 'all' || migration.transaction === undefined) return;
    yield {
      at: migration,
      message:
        'This migration sets `transaction`, and the data source runs all migrations in one transaction: TypeORM refuses to start.',
      fix: "Set `migrationsTransactionMode: 'each'` on the data source that runs migrations; `migrationDataSourceOptions()` does.",
    };
  },
});

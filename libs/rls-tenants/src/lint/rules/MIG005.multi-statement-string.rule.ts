import { defineRule } from '../rule.js';

/** MIG005: PostgreSQL runs a query of several statements in one implicit transaction, where it refuses CONCURRENTLY even if the migration has `transaction = false`. */
export const multiStatementString = defineRule({
  id: 'MIG005',
  title: 'multi-statement-string',
  severity: 'error',
  reason:
    'PostgreSQL runs a query of several statements in one implicit transaction, where it refuses CONCURRENTLY even if the migration has `transaction = false`.',
  *find(migration) {
    for (const statement of migration.statements) {
      const outside = statement.changes.find(({ kind }) => kind === 'outside-transaction');
      if (!outside || !('what' in outside) || statement.callStatements < 2) continue;
      yield {
        at: statement,
        message: `${outside.what} is one of ${statement.callStatements} statements of one query(): they form an implicit transaction, in which it fails (SQLSTATE 25001).`,
        fix: `await queryRunner.query(\`${statement.sql}\`);`,
      };
    }
  },
});

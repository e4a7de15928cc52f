import { changes, defineRule } from '../rule.js';

/** MIG004: `migration:revert` opens a transaction whatever the migration says, so that a `down` which uses CONCURRENTLY fails. */
export const revertRunsInTransaction = defineRule({
  id: 'MIG004',
  title: 'revert-runs-in-transaction',
  severity: 'error',
  reason:
    '`migration:revert` opens a transaction whatever the migration says, so that a `down` which uses CONCURRENTLY fails.',
  *find(migration) {
    for (const { statement, change } of changes(migration, 'down', 'outside-transaction')) {
      if (statement.outsideTransaction) continue;
      yield {
        at: statement,
        message: `${change.what} fails in the transaction that migration:revert opens around down(), \`transaction = false\` or not.`,
        fix: `await queryRunner.commitTransaction();\nawait queryRunner.query(\`${statement.sql}\`);\nawait queryRunner.startTransaction();`,
      };
    }
  },
});

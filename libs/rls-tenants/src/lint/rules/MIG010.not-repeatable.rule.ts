import { quoteIdentifier } from '../../policies/index.js';
import { unrepeatableSteps } from '../repeatable.js';
import { defineRule, inTransaction } from '../rule.js';

/** MIG010: If a migration without a transaction is interrupted between its step and its record, or leaves an INVALID index behind, the next run starts at its top and fails at what is there already. */
export const notRepeatable = defineRule({
  id: 'MIG010',
  title: 'not-repeatable',
  severity: 'warning',
  reason:
    'If a migration without a transaction is interrupted between its step and its record, or leaves an INVALID index behind, the next run starts at its top and fails at what is there already.',
  *find(migration) {
    if (inTransaction(migration)) return;
    // Several of them are MIG003's.
    const [step, second] = unrepeatableSteps(migration);
    if (!step || second) return;
    // There is no DETACH that could be repeated, and nothing to undo but with FINALIZE.
    if (step.changes.some(({ kind }) => kind === 'detach-partition')) return;
    const index = step.changes.find((change) => change.kind === 'create-index');
    yield {
      at: step,
      message:
        'This step fails when it runs a second time, and nothing undoes it if its record is not written.',
      fix:
        index?.name === undefined
          ? 'Make it repeatable (IF EXISTS, IF NOT EXISTS where it is not CONCURRENTLY), or use an operation of nestjs-rls-tenants/migrations, which finds out what is done.'
          : `DROP INDEX CONCURRENTLY IF EXISTS ${quoteIdentifier(index.name)}; -- first; or concurrentIndex(), which keeps a valid one`,
    };
  },
});

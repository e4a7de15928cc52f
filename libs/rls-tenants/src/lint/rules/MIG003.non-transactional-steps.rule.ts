import type { Statement } from '../migration.js';
import { defineRule, inTransaction } from '../rule.js';

/** MIG003: What a migration without a transaction did before it failed stays, and the migration is not recorded: the next run starts at its top and fails at the first step. */
export const nonTransactionalSteps = defineRule({
  id: 'MIG003',
  title: 'non-transactional-steps',
  severity: 'error',
  reason:
    'What a migration without a transaction did before it failed stays, and the migration is not recorded: the next run starts at its top and fails at the first step.',
  *find(migration) {
    if (inTransaction(migration)) return;
    const steps = migration.statements.filter(
      (statement) => statement.direction === 'up' && !isRepeatable(statement),
    );
    const [, second] = steps;
    if (!second) return;
    yield {
      at: second,
      message: `This is one of ${steps.length} steps that fail when they run a second time; if a later one fails, nothing records that this one is done.`,
      fix: 'Give each step a migration of its own, or make every step repeatable (IF EXISTS, IF NOT EXISTS where it is not CONCURRENTLY).',
    };
  },
});

/** SET, a guarded statement, or rows that a second run finds changed already. */
function isRepeatable({ sql, changes }: Statement): boolean {
  return (
    /\bIF (?:NOT )?EXISTS\b/i.test(sql) || changes.every(({ kind }) => kind === 'setting' || kind === 'write')
  );
}

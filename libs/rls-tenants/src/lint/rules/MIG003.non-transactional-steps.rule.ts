import { unrepeatableSteps } from '../repeatable.js';
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
    const steps = unrepeatableSteps(migration);
    const [, second] = steps;
    if (!second) return;
    yield {
      at: second,
      message: `This is one of ${steps.length} steps that fail when they run a second time; if a later one fails, nothing records that this one is done.`,
      fix: 'Give each step a migration of its own, or make every step repeatable (IF EXISTS, IF NOT EXISTS where it is not CONCURRENTLY).',
    };
  },
});

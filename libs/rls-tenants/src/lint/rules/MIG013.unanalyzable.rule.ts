import { defineRule } from '../rule.js';

/** MIG013: What the linter cannot read it cannot check: silence about it is no promise. */
export const unanalyzable = defineRule({
  id: 'MIG013',
  title: 'unanalyzable',
  severity: 'warning',
  reason: 'What the linter cannot read it cannot check: silence about it is no promise.',
  *find(migration) {
    for (const one of migration.unanalyzable) {
      yield {
        at: one,
        message: `Not checked: ${one.what}.`,
        fix: one.broken
          ? 'Correct the SQL: PostgreSQL would refuse it as well.'
          : 'Write the SQL out in `queryRunner.query()`, or use an operation of nestjs-rls-tenants/migrations.',
        ...(one.broken && { severity: 'error' as const }),
      };
    }
  },
});

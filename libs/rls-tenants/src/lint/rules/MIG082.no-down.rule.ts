import type { Migration } from '../migration.js';
import { defineRule } from '../rule.js';

/** MIG082: Without a down() that works, `migration:revert` fails, or removes the record and leaves the schema. */
export const noDown = defineRule({
  id: 'MIG082',
  title: 'no-down',
  severity: 'warning',
  reason:
    'Without a down() that works, `migration:revert` fails, or removes the record and leaves the schema.',
  *find(migration) {
    if (migration.down === 'present' || (migration.down === 'empty' && onlyValidates(migration))) return;
    yield {
      at: migration,
      message: `down() ${migration.down === 'missing' ? 'is missing' : migration.down === 'empty' ? 'does nothing' : 'throws'}.`,
      fix: 'Write what undoes up(), or suppress this above the class with the reason why it cannot be undone.',
    };
  },
});

/** A constraint that is valid does no harm: there is nothing to undo. */
function onlyValidates({ statements }: Migration): boolean {
  return (
    statements.length > 0 &&
    statements.every(
      ({ changes: made }) => made.length > 0 && made.every(({ kind }) => kind === 'validate-constraint'),
    )
  );
}

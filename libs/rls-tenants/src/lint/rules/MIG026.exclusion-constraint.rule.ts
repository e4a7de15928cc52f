import { constraintsOnExisting } from '../context.js';
import { defineRule } from '../rule.js';

/** MIG026: An exclusion constraint builds its index under ACCESS EXCLUSIVE, and PostgreSQL has no concurrent way. */
export const exclusionConstraint = defineRule({
  id: 'MIG026',
  title: 'exclusion-constraint',
  severity: 'error',
  reason:
    'An exclusion constraint builds its index under ACCESS EXCLUSIVE, and PostgreSQL has no concurrent way.',
  *find(migration) {
    for (const { statement, change } of constraintsOnExisting(migration)) {
      if (change.constraint.type !== 'exclude') continue;
      yield {
        at: statement,
        message: `ACCESS EXCLUSIVE lock on "${change.table}" while the index is built: no reads, no writes.`,
        fix: 'Add it to a new table and move the rows there, or do it in a maintenance window and suppress this finding with that reason.',
      };
    }
  },
});

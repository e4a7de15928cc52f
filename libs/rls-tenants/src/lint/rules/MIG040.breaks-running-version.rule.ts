import { createdTables } from '../context.js';
import type { Statement } from '../migration.js';
import { type LintObservation, changes, defineRule } from '../rule.js';

/** MIG040: While the new version is rolled out the old one still runs: it fails on a column, table or schema that is gone or has another name, and dropped data is gone. CASCADE also drops the policies and views that depend on it. */
export const breaksRunningVersion = defineRule({
  id: 'MIG040',
  title: 'breaks-running-version',
  severity: 'error',
  reason:
    'While the new version is rolled out the old one still runs: it fails on a column, table or schema that is gone or has another name, and dropped data is gone. CASCADE also drops the policies and views that depend on it.',
  *find(migration) {
    const created = createdTables(migration);
    const at = (statement: Statement, what: string): LintObservation => ({
      at: statement,
      message: `${what}: the version that still runs fails from here on (ACCESS EXCLUSIVE lock, short).`,
      fix: `First release a version that does not use it. Then suppress this finding with that reason: // rls-lint-ignore MIG040: unused since …`,
    });
    for (const { statement, change } of changes(migration, 'up', 'drop')) {
      if (created.has(change.name)) continue;
      yield at(
        statement,
        `Drops ${change.object} "${change.name}"${change.cascade ? ' with all that depends on it' : ''}`,
      );
    }
    for (const { statement, change } of changes(migration, 'up', 'drop-column')) {
      if (!created.has(change.table))
        yield at(statement, `Drops column "${change.column}" of "${change.table}"`);
    }
    for (const { statement, change } of changes(migration, 'up', 'rename')) {
      if (change.object === 'type' || created.has(change.table ?? change.from)) continue;
      yield at(statement, `Renames ${change.object} "${change.from}" to "${change.to}"`);
    }
    for (const { statement, change } of changes(migration, 'up', 'drop-not-null')) {
      yield at(statement, `Column "${change.column}" of "${change.table}" may be NULL`);
    }
  },
});

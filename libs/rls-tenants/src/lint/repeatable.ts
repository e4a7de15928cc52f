import type { Migration, Statement } from './migration.js';
import { changes } from './rule.js';

/** The steps of `up` that fail when they run a second time. */
export function unrepeatableSteps(migration: Migration): Statement[] {
  const dropped = new Set(changes(migration, 'up', 'drop-index').map(({ change }) => change.name));
  return migration.statements.filter(
    (statement) => statement.direction === 'up' && !isRepeatable(statement, dropped),
  );
}

const REPEATABLE: ReadonlySet<string> = new Set([
  'setting',
  'read',
  // A second run finds the rows changed already.
  'write',
  'validate-constraint',
  'set-not-null',
  'drop-not-null',
  'column-default',
  'row-security',
  'reindex',
  'refresh',
  'grant',
  'outside-transaction',
]);

/** A guarded statement, an index that is dropped first, or what says how things shall be. */
function isRepeatable({ sql, changes: made }: Statement, dropped: ReadonlySet<string | undefined>): boolean {
  return (
    /\bIF (?:NOT )?EXISTS\b/i.test(sql) ||
    made.some((change) => change.kind === 'create-index' && dropped.has(change.name)) ||
    made.every(({ kind }) => REPEATABLE.has(kind))
  );
}

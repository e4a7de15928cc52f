import type { ChangeOf } from './changes.js';
import type { LintContext } from './context.js';
import type { Migration, Statement } from './migration.js';
import { changes, inTransaction } from './rule.js';

/**
 * The value that the migration itself gives a setting before a statement; undefined where it leaves the session's own.
 * SET LOCAL outside a transaction does nothing.
 */
export function settingBefore(migration: Migration, name: string, at: Statement): string | undefined {
  const position = migration.statements.indexOf(at);
  const last = changes(migration, at.direction, 'setting').findLast(
    ({ statement, change }) =>
      migration.statements.indexOf(statement) < position &&
      (change.name === name || isResetAll(change)) &&
      (!change.local || inTransaction(migration)),
  );
  return last?.change.reset ? undefined : last?.change.value;
}

/** True if nothing bounds the timeout before a statement: neither the migration nor its session. */
export function isUnbounded(
  migration: Migration,
  { sessionSettings }: LintContext,
  timeout: 'lock_timeout' | 'statement_timeout',
  at: Statement,
): boolean {
  const value = settingBefore(migration, timeout, at);
  return value === undefined ? !sessionSettings.has(timeout) : /^0+\D*$/.test(value);
}

/** RESET ALL. */
export function isResetAll({ reset, name }: ChangeOf<'setting'>): boolean {
  return reset && name === '';
}

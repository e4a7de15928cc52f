import { locksOnExisting } from '../locks.js';
import { changes, defineRule, inTransaction } from '../rule.js';
import { isResetAll, isUnbounded } from '../session.js';

/** MIG008: Without statement_timeout a statement that turns out slow holds its lock until it is done; and a SET without LOCAL stays on the connection, for every migration that follows. */
export const statementTimeoutMissing = defineRule({
  id: 'MIG008',
  title: 'statement-timeout-missing',
  severity: 'warning',
  reason:
    'Without statement_timeout a statement that turns out slow holds its lock until it is done; and a SET without LOCAL stays on the connection, for every migration that follows.',
  *find(migration, context) {
    const unbounded = locksOnExisting(migration).find(({ statement }) =>
      isUnbounded(migration, context, 'statement_timeout', statement),
    );
    if (unbounded) {
      yield {
        at: unbounded.statement,
        message: `${unbounded.lock.mode} lock, held for as long as this statement runs: nothing ends it.`,
        fix: `SET LOCAL statement_timeout = '30s'; -- first; or run it with migrationDataSourceOptions(), which sets it for every migration`,
      };
    }
    const settings = changes(migration, 'up', 'setting');
    for (const [position, { statement, change }] of settings.entries()) {
      if (change.local || change.reset) continue;
      const later = settings.slice(position + 1);
      if (later.some((one) => isResetAll(one.change) || one.change.name === change.name)) continue;
      yield {
        at: statement,
        message: `${change.name} stays ${change.value === '' ? 'set' : `'${change.value}'`} on the connection after this migration.`,
        fix: inTransaction(migration)
          ? `${statement.sql.replace(/^SET\s+(?:SESSION\s+)?/i, 'SET LOCAL ')};`
          : `RESET ${change.name}; -- at the end`,
      };
    }
  },
});

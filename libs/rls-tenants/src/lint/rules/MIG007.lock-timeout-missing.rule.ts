import { locksOnExisting } from '../locks.js';
import { defineRule, inTransaction } from '../rule.js';
import { isUnbounded } from '../session.js';

/** MIG007: A statement that waits for an exclusive lock makes everybody else who wants the table wait behind it: without lock_timeout for as long as the longest running query takes. */
export const lockTimeoutMissing = defineRule({
  id: 'MIG007',
  title: 'lock-timeout-missing',
  severity: 'error',
  reason:
    'A statement that waits for an exclusive lock makes everybody else who wants the table wait behind it: without lock_timeout for as long as the longest running query takes.',
  *find(migration, context) {
    const found = locksOnExisting(migration).find(({ statement }) =>
      isUnbounded(migration, context, 'lock_timeout', statement),
    );
    if (!found) return;
    const { statement, lock } = found;
    const table = lock.table === undefined ? 'the table' : `"${lock.table}"`;
    yield {
      at: statement,
      message: `${lock.mode} lock on ${table} without a bound on the wait for it: whoever wants ${table} queues behind this statement.`,
      fix: inTransaction(migration)
        ? `SET LOCAL lock_timeout = '2s'; -- first; or run it with migrationDataSourceOptions(), which sets it for every migration`
        : `SET lock_timeout = '2s'; -- first, and RESET lock_timeout last; or run it with migrationDataSourceOptions(), which sets it for every migration`,
    };
  },
});

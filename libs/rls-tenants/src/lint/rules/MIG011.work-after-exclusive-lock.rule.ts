import type { Statement } from '../migration.js';
import { locksOnExisting } from '../locks.js';
import { defineRule, inTransaction } from '../rule.js';

/** MIG011: A lock lasts as long as its transaction: what is slow keeps it, and a second table to lock while the first is held is a deadlock waiting for a transaction that takes them the other way round. */
export const workAfterExclusiveLock = defineRule({
  id: 'MIG011',
  title: 'work-after-exclusive-lock',
  severity: 'warning',
  reason:
    'A lock lasts as long as its transaction: what is slow keeps it, and a second table to lock while the first is held is a deadlock waiting for a transaction that takes them the other way round.',
  *find(migration) {
    if (!inTransaction(migration)) return;
    const locks = locksOnExisting(migration).filter(({ lock }) => lock.mode === 'ACCESS EXCLUSIVE');
    const [first] = locks;
    if (!first) return;
    const held = first.lock.table === undefined ? 'its table' : `"${first.lock.table}"`;
    const reported = new Set<Statement>();
    const after = migration.statements.slice(migration.statements.indexOf(first.statement) + 1);
    for (const statement of after) {
      const slow = statement.direction === 'up' ? slowWork(statement) : undefined;
      if (slow === undefined) continue;
      reported.add(statement);
      yield {
        at: statement,
        message: `${slow} while the ACCESS EXCLUSIVE lock on ${held} from line ${first.statement.line} is held: no reads, no writes until it is done.`,
        fix: 'Move it into a migration of its own.',
      };
    }
    const second = locks.find(
      ({ statement, lock }) =>
        statement !== first.statement && lock.table !== undefined && lock.table !== first.lock.table,
    );
    if (first.lock.table === undefined || !second || reported.has(second.statement)) return;
    yield {
      at: second.statement,
      message: `ACCESS EXCLUSIVE lock on "${second.lock.table}" while the one on ${held} from line ${first.statement.line} is held: it waits with that table locked, and deadlocks with whoever locks them in the other order.`,
      fix: 'Change each table in a migration of its own.',
    };
  },
});

/** What reads a table or builds something from it. Rows that are written are MIG012's. */
function slowWork({ changes: made }: Statement): string | undefined {
  for (const change of made) {
    if (change.kind === 'create-index') return `An index of "${change.table}" is built`;
    if (change.kind === 'validate-constraint') return `Every row of "${change.table}" is checked`;
    if (change.kind === 'read') return `"${change.tables[0]}" is read`;
    if (change.kind === 'refresh' || change.kind === 'reindex') return `"${change.name}" is built anew`;
  }
  return undefined;
}

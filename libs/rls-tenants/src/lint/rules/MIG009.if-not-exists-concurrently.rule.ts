import { quoteIdentifier } from '../../policies/index.js';
import { changes, defineRule } from '../rule.js';

/** MIG009: An interrupted CREATE INDEX CONCURRENTLY leaves an INVALID index, over which IF NOT EXISTS succeeds: the migration is recorded, and no query ever uses the index. */
export const ifNotExistsConcurrently = defineRule({
  id: 'MIG009',
  title: 'if-not-exists-concurrently',
  severity: 'error',
  reason:
    'An interrupted CREATE INDEX CONCURRENTLY leaves an INVALID index, over which IF NOT EXISTS succeeds: the migration is recorded, and no query ever uses the index.',
  *find(migration) {
    for (const { statement, change } of changes(migration, 'up', 'create-index')) {
      if (!change.concurrently || !change.ifNotExists) continue;
      const name = change.name ?? 'its name';
      yield {
        at: statement,
        message: `If index "${name}" was left INVALID by an interrupted run, this statement does nothing and says so to nobody.`,
        fix: `DROP INDEX CONCURRENTLY IF EXISTS ${quoteIdentifier(name)};\n${statement.sql.replace(/\s+IF\s+NOT\s+EXISTS/i, '')};`,
      };
    }
  },
});

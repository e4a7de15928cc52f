import { quoteIdentifier } from '../../policies/index.js';
import { changes, defineRule, gathered } from '../rule.js';

/** MIG023: PostgreSQL refuses DROP INDEX CONCURRENTLY for the index of a partitioned table and for an index that is attached to one. */
export const partitionedIndexDrop = defineRule({
  id: 'MIG023',
  title: 'partitioned-index-drop',
  severity: 'error',
  reason:
    'PostgreSQL refuses DROP INDEX CONCURRENTLY for the index of a partitioned table and for an index that is attached to one.',
  *find(migration, context) {
    const partitioned = partitionedIndexes(context);
    for (const { statement, change } of changes(migration, 'up', 'drop-index')) {
      const table = partitioned.get(change.name);
      if (!change.concurrently || table === undefined) continue;
      yield {
        at: statement,
        message: `"${change.name}" is an index of the partitioned table "${table}", which cannot be dropped CONCURRENTLY.`,
        fix: `SET LOCAL lock_timeout = '2s';\nDROP INDEX ${quoteIdentifier(change.name)};`,
      };
    }
  },
});

const partitionedIndexes = gathered(
  (context) =>
    new Map(
      context.migrations.flatMap((one) =>
        changes(one, 'up', 'create-index')
          .filter(({ change }) => change.name !== undefined && context.isPartitioned(change.table))
          .map(({ change }) => [change.name!, change.table] as const),
      ),
    ),
);

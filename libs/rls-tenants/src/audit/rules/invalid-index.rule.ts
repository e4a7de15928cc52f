import { rebuildIndex } from '../performance-fixes.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS084: what an interrupted CREATE INDEX CONCURRENTLY or a half-attached partitioned index leaves behind. */
export const invalidIndex = defineDatabaseRule({
  id: 'RLS084',
  title: 'invalid-index',
  severity: 'warning',
  reason:
    'An invalid index answers no query and costs every write, and CREATE INDEX IF NOT EXISTS takes it for done.',
  *find(audit) {
    for (const index of audit.database.indexes) {
      const relation = audit.relation(index.table);
      if (index.valid || !relation) continue;
      yield {
        object: `index "${relation.schema}.${index.name}"`,
        message: index.partitioned
          ? `On partitioned table "${audit.nameOf(relation)}" it is invalid: a partition has no valid index attached to it.`
          : `On table "${audit.nameOf(relation)}" it is invalid: building it was interrupted, or failed.`,
        fix: index.partitioned
          ? 'partitionedIndex() with this name and definition, in a ConcurrentMigration: it builds and attaches what is missing.'
          : rebuildIndex(relation, index),
      };
    }
  },
});

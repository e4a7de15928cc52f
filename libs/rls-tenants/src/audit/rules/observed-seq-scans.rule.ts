import { defineDatabaseRule } from '../rule.js';

const MANY_ROWS = 10_000;
const MANY_SCANS = 50;

/** RLS076: what the statistics say about how tenant tables are read. */
export const observedSeqScans = defineDatabaseRule({
  id: 'RLS076',
  title: 'observed-seq-scans',
  severity: 'info',
  optIn: 'it judges what has been run since the statistics were reset, not the schema.',
  reason:
    'A large tenant table that is mostly read from end to end reads the rows of all tenants for one of them.',
  *find(audit) {
    for (const relation of audit.protectedRelations) {
      if (relation.rowEstimate < MANY_ROWS || relation.seqScans < MANY_SCANS) continue;
      const indexScans = audit.indexesOf(relation).reduce((sum, { scans }) => sum + scans, 0);
      const share = relation.seqScans / (relation.seqScans + indexScans);
      if (share < 0.5) continue;
      yield {
        object: `table "${audit.nameOf(relation)}"`,
        message: `${relation.seqScans} of ${relation.seqScans + indexScans} scans read all of its about ${relation.rowEstimate} rows.`,
        fix: '-- EXPLAIN the statements that pg_stat_statements shows for it, as the app role in a tenant context. RLS070 to RLS073 say what keeps a policy from its index.',
      };
    }
  },
});

import { quoteTable } from '../../policies/index.js';
import { createdTables } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG072: CREATE TABLE … PARTITION OF takes ACCESS EXCLUSIVE on the parent; a table of its own that is attached takes SHARE UPDATE EXCLUSIVE. */
export const partitionOfHotParent = defineRule({
  id: 'MIG072',
  title: 'partition-of-hot-parent',
  severity: 'warning',
  reason:
    'CREATE TABLE … PARTITION OF takes ACCESS EXCLUSIVE on the parent; a table of its own that is attached takes SHARE UPDATE EXCLUSIVE.',
  *find(migration) {
    const created = createdTables(migration);
    for (const { statement, change } of changes(migration, 'up', 'create-table')) {
      if (change.partitionOf === undefined || created.has(change.partitionOf)) continue;
      const parent = quoteTable(change.partitionOf);
      yield {
        at: statement,
        message: `ACCESS EXCLUSIVE lock on "${change.partitionOf}": short, but behind the longest running query, with all traffic waiting.`,
        fix: `CREATE TABLE ${quoteTable(change.table)} (LIKE ${parent} INCLUDING ALL);\n-- row-level security and policies, then\nALTER TABLE ${parent} ATTACH PARTITION ${quoteTable(change.table)} FOR VALUES …;`,
      };
    }
  },
});

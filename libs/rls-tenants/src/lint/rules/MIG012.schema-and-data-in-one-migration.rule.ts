import type { Change } from '../changes.js';
import { createdTables } from '../context.js';
import { changes, defineRule, inTransaction } from '../rule.js';

/** MIG012: In one transaction with a change of the schema, the change of the rows keeps the schema's ACCESS EXCLUSIVE lock until the last row is done. */
export const schemaAndDataInOneMigration = defineRule({
  id: 'MIG012',
  title: 'schema-and-data-in-one-migration',
  severity: 'error',
  reason:
    "In one transaction with a change of the schema, the change of the rows keeps the schema's ACCESS EXCLUSIVE lock until the last row is done.",
  *find(migration) {
    const created = createdTables(migration);
    const schema = migration.statements.find(
      ({ direction, changes: made }) => direction === 'up' && made.some(({ kind }) => SCHEMA.has(kind)),
    );
    if (!schema || !inTransaction(migration)) return;
    for (const { statement, change } of changes(migration, 'up', 'write')) {
      if (change.values || created.has(change.table)) continue;
      yield {
        at: statement,
        message: `${change.verb} of "${change.table}" in one transaction with the change of the schema in line ${schema.line}: its locks (ACCESS EXCLUSIVE for most) are held until every row is written.`,
        fix: 'Change the schema in this migration and the rows in the next one.',
      };
    }
  },
});

const SCHEMA: ReadonlySet<string> = new Set<Change['kind']>([
  'create-table',
  'add-column',
  'drop-column',
  'add-constraint',
  'set-not-null',
  'drop-not-null',
  'column-type',
  'create-index',
  'drop-index',
  'rename',
  'drop',
  'row-security',
]);

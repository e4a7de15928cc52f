import { objectName, parseTableName, quoteIdentifier, quoteTable } from '../../policies/index.js';
import { type LintContext, createdTables } from '../context.js';
import { operationsFile } from '../corrected-file.js';
import { changes, defineRule } from '../rule.js';

/** MIG034: SET NOT NULL reads the whole table under ACCESS EXCLUSIVE, unless a validated CHECK (column IS NOT NULL) has proven it already. */
export const setNotNullDirect = defineRule({
  id: 'MIG034',
  title: 'set-not-null-direct',
  severity: 'error',
  reason:
    'SET NOT NULL reads the whole table under ACCESS EXCLUSIVE, unless a validated CHECK (column IS NOT NULL) has proven it already.',
  *find(migration, context) {
    const created = createdTables(migration);
    for (const { statement, change } of changes(migration, 'up', 'set-not-null')) {
      const { table, column } = change;
      if (created.has(table) || provenNotNull(context, table, column)) continue;
      const name = objectName(parseTableName(table).name, `${column}_not_null`);
      const alter = `ALTER TABLE ${quoteTable(table)}`;
      const add = `${alter} ADD CONSTRAINT ${quoteIdentifier(name)} CHECK (${quoteIdentifier(column)} IS NOT NULL) NOT VALID`;
      const validate = `${alter} VALIDATE CONSTRAINT ${quoteIdentifier(name)}`;
      const dropCheck = `${alter} DROP CONSTRAINT ${quoteIdentifier(name)}`;
      yield {
        at: statement,
        message: `ACCESS EXCLUSIVE lock on "${table}" while every row is read: no reads, no writes.`,
        fix: `${add};\n${validate};\n${statement.sql};\n${dropCheck};`,
        files: [
          operationsFile(migration, {
            slug: `${table}-${column}-not-null`,
            after: 1,
            operations: [['notNull', { table, column }]],
          }),
        ],
      };
    }
  },
});

function provenNotNull(context: LintContext, table: string, column: string): boolean {
  return context
    .migrationsOf(table)
    .some((one) =>
      changes(one, 'up', 'add-constraint').some(
        ({ change }) => change.table === table && change.constraint.notNullColumn === column,
      ),
    );
}

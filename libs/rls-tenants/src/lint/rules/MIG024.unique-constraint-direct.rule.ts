import { objectName, parseTableName, quoteIdentifier, quoteTable } from '../../policies/index.js';
import { constraintsOnExisting } from '../context.js';
import { operationsFile } from '../corrected-file.js';
import { isPlainUnique } from '../operation-options.js';
import { defineRule } from '../rule.js';

/** MIG024: ADD CONSTRAINT … UNIQUE builds its index under ACCESS EXCLUSIVE: neither reads nor writes until it is built. */
export const uniqueConstraintDirect = defineRule({
  id: 'MIG024',
  title: 'unique-constraint-direct',
  severity: 'error',
  reason:
    'ADD CONSTRAINT … UNIQUE builds its index under ACCESS EXCLUSIVE: neither reads nor writes until it is built.',
  *find(migration) {
    for (const { statement, change } of constraintsOnExisting(migration)) {
      const { constraint, table } = change;
      if (constraint.type !== 'unique' || constraint.usingIndex) continue;
      const name =
        constraint.name ?? objectName(parseTableName(table).name, `${constraint.columns.join('_')}_key`);
      const columns = constraint.columns.map(quoteIdentifier).join(', ');
      const build = `CREATE UNIQUE INDEX CONCURRENTLY ${quoteIdentifier(name)} ON ${quoteTable(table)} (${columns})`;
      const use = `ALTER TABLE ${quoteTable(table)} ADD CONSTRAINT ${quoteIdentifier(name)} UNIQUE USING INDEX ${quoteIdentifier(name)}`;
      yield {
        at: statement,
        message: `ACCESS EXCLUSIVE lock on "${table}" while the unique index is built: no reads, no writes.`,
        fix: `${build};\n${use};`,
        ...(isPlainUnique(statement.sql) && {
          files: [
            operationsFile(migration, {
              slug: `${table}-unique-constraint`,
              after: 1,
              operations: [['uniqueConstraint', { table, columns: constraint.columns, name }]],
            }),
          ],
        }),
      };
    }
  },
});

import { quoteIdentifier, quoteTable } from '../../policies/index.js';
import { type LintContext, addedConstraints, addedForeignKeys, createdTables } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG039: Each DELETE and each change of the key in the referenced table looks for referencing rows: without an index it reads the whole referencing table, and locks its row until it has. */
export const fkColumnWithoutIndex = defineRule({
  id: 'MIG039',
  title: 'fk-column-without-index',
  severity: 'warning',
  reason:
    'Each DELETE and each change of the key in the referenced table looks for referencing rows: without an index it reads the whole referencing table, and locks its row until it has.',
  *find(migration, context) {
    for (const { statement, table, constraint } of addedForeignKeys(migration)) {
      if (!isKnown(context, table)) continue;
      const indexed = indexesOf(context, table).some((columns) =>
        serves(columns, constraint.columns, context.tenantColumn),
      );
      if (indexed) continue;
      const columns = constraint.columns.map(quoteIdentifier).join(', ');
      yield {
        at: statement,
        message: `No index of "${table}" serves the foreign key (${constraint.columns.join(', ')}): each DELETE in "${constraint.references}" reads all of "${table}".`,
        fix: `CREATE INDEX CONCURRENTLY … ON ${quoteTable(table)} (${columns}); -- in a migration of its own`,
      };
    }
  },
});

/** What operations index is not looked into, and what was not read may have indexes. */
function isKnown(context: LintContext, table: string): boolean {
  const migrations = context.migrationsOf(table);
  return (
    migrations.some((migration) => createdTables(migration).has(table)) &&
    !migrations.some(({ operations }) =>
      operations.some((one) => one.table === table && /index|unique|existing/i.test(one.name)),
    )
  );
}

function indexesOf(context: LintContext, table: string): (readonly (string | undefined)[])[] {
  return context.migrationsOf(table).flatMap((migration) => [
    ...changes(migration, 'up', 'create-index')
      .filter(({ change }) => change.table === table)
      .map(({ change }) => change.columns),
    ...addedConstraints(migration)
      .filter((one) => one.table === table && /unique|primary key/.test(one.constraint.type))
      .map(({ constraint }) => constraint.columns),
  ]);
}

/** An index on one column of the key is enough to find few rows; the tenant alone is not, unless it is the key. */
function serves(
  index: readonly (string | undefined)[],
  key: readonly string[],
  tenantColumn: string,
): boolean {
  const leading = index.find((column) => key.length === 1 || column !== tenantColumn);
  return leading !== undefined && key.includes(leading);
}

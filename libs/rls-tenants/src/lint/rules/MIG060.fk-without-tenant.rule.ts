import { quoteIdentifier, quoteTable } from '../../policies/index.js';
import { type LintContext, addedForeignKeys } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG060: PostgreSQL checks foreign keys and runs their cascades without row-level security: with a plain key one tenant can reference another's row, and the other's delete cascades. */
export const fkWithoutTenant = defineRule({
  id: 'MIG060',
  title: 'fk-without-tenant',
  severity: 'error',
  reason:
    "PostgreSQL checks foreign keys and runs their cascades without row-level security: with a plain key one tenant can reference another's row, and the other's delete cascades.",
  *find(migration, context) {
    for (const { statement, table, constraint } of addedForeignKeys(migration)) {
      const { references, columns, referencedColumns } = constraint;
      if (!context.isTenantTable(table) || !context.isTenantTable(references)) continue;
      if (isJoinTableWithoutColumn(context, table)) continue;
      const position = columns.indexOf(context.tenantColumn);
      if (position >= 0 && (referencedColumns[position] ?? context.tenantColumn) === context.tenantColumn)
        continue;
      const own = [context.tenantColumn, ...columns].map(quoteIdentifier).join(', ');
      const others = [context.tenantColumn, ...(referencedColumns.length > 0 ? referencedColumns : ['id'])];
      yield {
        at: statement,
        message: `The foreign key from "${table}" to "${references}" does not contain "${context.tenantColumn}": a row can reference another tenant's.`,
        fix: `FOREIGN KEY (${own}) REFERENCES ${quoteTable(references)} (${others.map(quoteIdentifier).join(', ')})`,
      };
    }
  },
});

/** In the EXISTS form the policy asks for both sides, and in its own-column form protectJoinTable() makes the keys anew. */
function isJoinTableWithoutColumn(context: LintContext, table: string): boolean {
  const migrations = context.migrationsOf(table);
  const isProtected = migrations.some(({ operations }) =>
    operations.some((one) => one.name === 'protectJoinTable' && one.table === table),
  );
  const hasColumn = migrations.some((migration) => {
    const created = changes(migration, 'up', 'create-table').filter(({ change }) => change.table === table);
    const added = changes(migration, 'up', 'add-column').filter(({ change }) => change.table === table);
    return [
      ...created.flatMap(({ change }) => change.columns),
      ...added.map(({ change }) => change.column),
    ].some(({ name }) => name === context.tenantColumn);
  });
  return isProtected && !hasColumn;
}

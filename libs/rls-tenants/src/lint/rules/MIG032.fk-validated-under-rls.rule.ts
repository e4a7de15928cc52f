import { type LintContext, addedForeignKeys, createdTables } from '../context.js';
import type { Migration, Statement } from '../migration.js';
import { changes, defineRule } from '../rule.js';

/** MIG032: Under FORCE ROW LEVEL SECURITY an owner that no policy admits validates a foreign key against the rows it sees, which are none: it becomes valid with orphans in the table. */
export const fkValidatedUnderRls = defineRule({
  id: 'MIG032',
  title: 'fk-validated-under-rls',
  severity: 'error',
  reason:
    'Under FORCE ROW LEVEL SECURITY an owner that no policy admits validates a foreign key against the rows it sees, which are none: it becomes valid with orphans in the table.',
  *find(migration, context) {
    const created = createdTables(migration);
    const checked = [
      ...addedForeignKeys(migration)
        .filter(({ table, constraint }) => !constraint.notValid && !created.has(table))
        .map(({ statement, table, constraint }) => ({ statement, tables: [table, constraint.references] })),
      ...changes(migration, 'up', 'validate-constraint').flatMap(({ statement, change }) => {
        const key = foreignKeyNamed(context, change.table, change.name);
        return key ? [{ statement, tables: [change.table, key.references] }] : [];
      }),
    ];
    for (const { statement, tables } of checked) {
      const table = tables.find((one) => context.isTenantTable(one));
      if (table === undefined || statement.allRows || rowSecurityOffBefore(migration, statement)) continue;
      yield {
        at: statement,
        message: `Row-level security of "${table}" decides which rows this check sees; where the migration role is not admitted, it succeeds with orphans present.`,
        fix: `await withAllRows(queryRunner, ${JSON.stringify(tables)}, async () => {\n  await queryRunner.query(\`${statement.sql}\`);\n});`,
      };
    }
  },
});

function foreignKeyNamed(context: LintContext, table: string, name: string) {
  return context
    .migrationsOf(table)
    .flatMap(addedForeignKeys)
    .find((key) => key.table === table && key.constraint.name === name)?.constraint;
}

function rowSecurityOffBefore(migration: Migration, statement: Statement): boolean {
  const before = migration.statements.slice(0, migration.statements.indexOf(statement));
  return before.some(({ direction, changes: made }) =>
    made.some(
      (change) =>
        direction === statement.direction &&
        change.kind === 'setting' &&
        change.name === 'row_security' &&
        change.value === 'off',
    ),
  );
}

import { changes, defineRule, gathered } from '../rule.js';

/** MIG064: PostgreSQL lets only leakproof operators see a row before its policy has: those of enums and numeric are not leakproof, so that a condition on such a column is never part of an index search under row-level security. */
export const notLeakproofColumn = defineRule({
  id: 'MIG064',
  title: 'not-leakproof-column',
  severity: 'warning',
  reason:
    'PostgreSQL lets only leakproof operators see a row before its policy has: those of enums and numeric are not leakproof, so that a condition on such a column is never part of an index search under row-level security.',
  *find(migration, context) {
    const enums = enumsOf(context);
    const added = [
      ...changes(migration, 'up', 'create-table').flatMap(({ statement, change }) =>
        change.columns.map((column) => ({ statement, table: change.table, column })),
      ),
      ...changes(migration, 'up', 'add-column').map(({ statement, change }) => ({ statement, ...change })),
    ];
    for (const { statement, table, column } of added) {
      const isEnum = enums.has(column.type);
      if (!context.isTenantTable(table) || (!isEnum && column.type !== 'numeric')) continue;
      yield {
        at: statement,
        message: `Column "${column.name}" of the tenant table "${table}" is ${isEnum ? `of the enum "${column.type}"` : 'numeric'}: an index on (${context.tenantColumn}, ${column.name}) finds the tenant's entries, and each of them is compared.`,
        fix: isEnum
          ? 'Where queries filter by it, make it text with a CHECK constraint.'
          : 'Where queries filter by it, make it bigint, in the smallest unit.',
      };
    }
  },
});

const enumsOf = gathered(
  ({ migrations }) =>
    new Set(migrations.flatMap((one) => changes(one, 'up', 'create-enum').map(({ change }) => change.type))),
);

import { quoteIdentifier } from '../../policies/index.js';
import { addedForeignKeys, protects } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG053: A join table without a tenant column of its own can only be protected through a sub-select for each row, and its foreign keys can link rows of two tenants. */
export const joinTableWithoutTenant = defineRule({
  id: 'MIG053',
  title: 'join-table-without-tenant',
  severity: 'error',
  reason:
    'A join table without a tenant column of its own can only be protected through a sub-select for each row, and its foreign keys can link rows of two tenants.',
  *find(migration, context) {
    for (const { statement, change } of changes(migration, 'up', 'create-table')) {
      const { table, columns } = change;
      if (columns.some(({ name }) => name === context.tenantColumn)) continue;
      const sides = addedForeignKeys(migration).filter(
        (key) => key.table === table && context.isTenantTable(key.constraint.references),
      );
      if (sides.length < 2 || protects(migration, table)) continue;
      const referenced = sides.map(({ constraint }) => `"${constraint.references}"`).join(' and ');
      yield {
        at: statement,
        message: `"${table}" links ${referenced} and has no column "${context.tenantColumn}".`,
        fix: `Add ${quoteIdentifier(context.tenantColumn)} to the table, and to both foreign keys; mark the entities @TenantScoped() and TypeORM writes it so.`,
      };
    }
  },
});

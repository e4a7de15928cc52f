import { quoteIdentifier } from '../../policies/index.js';
import { addedConstraints } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG061: A unique constraint over all tenants tells one tenant by its error that another has the value, and keeps both from having it. */
export const uniqueWithoutTenant = defineRule({
  id: 'MIG061',
  title: 'unique-without-tenant',
  severity: 'error',
  reason:
    'A unique constraint over all tenants tells one tenant by its error that another has the value, and keeps both from having it.',
  *find(migration, context) {
    const unique = [
      ...addedConstraints(migration)
        .filter(({ constraint }) => constraint.type === 'unique' && !constraint.usingIndex)
        .map(({ statement, table, constraint }) => ({ statement, table, columns: constraint.columns })),
      ...changes(migration, 'up', 'create-index')
        .filter(({ change }) => change.unique)
        .map(({ statement, change }) => ({ statement, table: change.table, columns: change.columns })),
    ];
    for (const { statement, table, columns } of unique) {
      if (!context.isTenantTable(table) || columns.includes(context.tenantColumn)) continue;
      const shown = columns.map((column) => column ?? '(expression)').join(', ');
      yield {
        at: statement,
        message: `UNIQUE (${shown}) of the tenant table "${table}" spans all tenants.`,
        fix: `UNIQUE (${[quoteIdentifier(context.tenantColumn), ...columns.map((column) => (column === undefined ? '…' : quoteIdentifier(column)))].join(', ')})`,
      };
    }
  },
});

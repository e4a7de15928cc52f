import { createdTables } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG063: The policies hang on the tenant column: PostgreSQL refuses to change its type or to drop it, and a NULL in it is a row that no tenant sees. */
export const tenantColumnChanged = defineRule({
  id: 'MIG063',
  title: 'tenant-column-changed',
  severity: 'error',
  reason:
    'The policies hang on the tenant column: PostgreSQL refuses to change its type or to drop it, and a NULL in it is a row that no tenant sees.',
  *find(migration, context) {
    const created = createdTables(migration);
    const about = [
      ...changes(migration, 'up', 'drop-not-null').map((one) => ({ ...one, what: 'may be NULL' })),
      ...changes(migration, 'up', 'column-type').map((one) => ({ ...one, what: 'changes its type' })),
      ...changes(migration, 'up', 'drop-column').map((one) => ({ ...one, what: 'is dropped' })),
    ].map(({ statement, change, what }) => ({ statement, table: change.table, column: change.column, what }));
    const renamed = changes(migration, 'up', 'rename')
      .filter(({ change }) => change.object === 'column')
      .map(({ statement, change }) => ({
        statement,
        table: change.table ?? '',
        column: change.from,
        what: `is renamed to "${change.to}"`,
      }));
    for (const { statement, table, column, what } of [...about, ...renamed]) {
      if (column !== context.tenantColumn || created.has(table) || !context.isTenantTable(table)) continue;
      yield {
        at: statement,
        message: `The tenant column "${column}" of "${table}" ${what}.`,
        fix: 'Add another column beside it, fill it, and change policies, keys and entity to it before the old one goes.',
      };
    }
  },
});

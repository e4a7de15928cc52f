import { quoteIdentifier } from '../../policies/index.js';
import { changes, defineRule } from '../rule.js';

/** MIG062: Every query of a tenant table has the tenant in its condition, the policy adds it: an index that begins with another column reads the entries of all tenants. */
export const indexNotLeadingWithTenant = defineRule({
  id: 'MIG062',
  title: 'index-not-leading-with-tenant',
  severity: 'warning',
  reason:
    'Every query of a tenant table has the tenant in its condition, the policy adds it: an index that begins with another column reads the entries of all tenants.',
  *find(migration, context) {
    for (const { statement, change } of changes(migration, 'up', 'create-index')) {
      const { table, columns, method } = change;
      if (!context.isTenantTable(table) || method !== 'btree' || columns[0] === context.tenantColumn)
        continue;
      // A unique index without the tenant is MIG061's.
      if (change.unique && !columns.includes(context.tenantColumn)) continue;
      yield {
        at: statement,
        message: `The index on the tenant table "${table}" does not begin with "${context.tenantColumn}".`,
        fix: `Begin its columns with ${quoteIdentifier(context.tenantColumn)}.`,
      };
    }
  },
});

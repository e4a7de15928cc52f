import { currentTenantSql, protectSql, tenantPolicyName, tenantPredicateSql } from '../../policies/index.js';
import { protects } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG050: A table with a tenant column and without row-level security shows every tenant's rows to every tenant, from the moment its migration commits. */
export const tenantTableWithoutRls = defineRule({
  id: 'MIG050',
  title: 'tenant-table-without-rls',
  severity: 'error',
  reason:
    "A table with a tenant column and without row-level security shows every tenant's rows to every tenant, from the moment its migration commits.",
  *find(migration, context) {
    for (const { statement, change } of changes(migration, 'up', 'create-table')) {
      const { table } = change;
      if (change.partitionOf !== undefined || protects(migration, table)) continue;
      if (!change.columns.some(({ name }) => name === context.tenantColumn)) continue;
      const later = context
        .migrationsOf(table)
        .find((other) => other !== migration && protects(other, table));
      yield {
        at: statement,
        message: later
          ? `"${table}" is protected by ${later.className} only: between the two migrations, and for ever if that one fails, every tenant sees all its rows.`
          : `"${table}" has the tenant column "${context.tenantColumn}" and no row-level security: every tenant sees all its rows.`,
        fix: protectSql(
          table,
          tenantPolicyName(table),
          tenantPredicateSql(context.tenantColumn, currentTenantSql('uuid', context.tenantSetting)),
          context.adminRole,
        )
          .map((sql) => `${sql};`)
          .join('\n'),
      };
    }
  },
});

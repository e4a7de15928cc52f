import { currentTenantSql, protectSql, tenantPolicyName, tenantPredicateSql } from '../../policies/index.js';
import { protects } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG054: A partition is a table of its own: whoever may read it directly bypasses the policies of its parent. */
export const partitionWithoutRls = defineRule({
  id: 'MIG054',
  title: 'partition-without-rls',
  severity: 'error',
  reason:
    'A partition is a table of its own: whoever may read it directly bypasses the policies of its parent.',
  *find(migration, context) {
    const added = [
      ...changes(migration, 'up', 'create-table').flatMap(({ statement, change }) =>
        change.partitionOf === undefined
          ? []
          : [{ statement, parent: change.partitionOf, partition: change.table }],
      ),
      ...changes(migration, 'up', 'attach-partition').map(({ statement, change }) => ({
        statement,
        parent: change.table,
        partition: change.partition,
      })),
    ];
    for (const { statement, parent, partition } of added) {
      if (!context.isTenantTable(parent) || protects(migration, partition)) continue;
      yield {
        at: statement,
        message: `"${partition}" becomes a partition of the tenant table "${parent}" without row-level security of its own: default privileges let the app role read it directly.`,
        fix: protectSql(
          partition,
          tenantPolicyName(partition),
          tenantPredicateSql(context.tenantColumn, currentTenantSql('uuid', context.tenantSetting)),
          context.adminRole,
        )
          .map((sql) => `${sql};`)
          .join('\n'),
      };
    }
  },
});

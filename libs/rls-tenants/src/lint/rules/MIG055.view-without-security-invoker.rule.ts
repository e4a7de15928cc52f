import { quoteTable } from '../../policies/index.js';
import { changes, defineRule } from '../rule.js';

/** MIG055: A view reads its tables as its owner, and a materialized view holds the rows of whoever refreshed it: both show rows that the policies hide from the caller. */
export const viewWithoutSecurityInvoker = defineRule({
  id: 'MIG055',
  title: 'view-without-security-invoker',
  severity: 'error',
  reason:
    'A view reads its tables as its owner, and a materialized view holds the rows of whoever refreshed it: both show rows that the policies hide from the caller.',
  *find(migration, context) {
    for (const { statement, change } of changes(migration, 'up', 'create-view')) {
      const table = change.reads.find((one) => context.isTenantTable(one));
      if (table === undefined || change.securityInvoker) continue;
      yield {
        at: statement,
        message: change.materialized
          ? `Materialized view "${change.name}" keeps rows of the tenant table "${table}", and no policy can protect it.`
          : `View "${change.name}" reads the tenant table "${table}" with its owner's rights.`,
        fix: change.materialized
          ? `Make it a table with a tenant column and policies, filled per tenant, or a view with security_invoker.`
          : `ALTER VIEW ${quoteTable(change.name)} SET (security_invoker = true);`,
      };
    }
  },
});

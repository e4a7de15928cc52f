import { defineDatabaseRule } from '../rule.js';

/** Columns that say whose row it is within the tenant. */
const PER_USER = ['user_id', 'owner_id', 'owner_user_id', 'author_id', 'created_by', 'created_by_id'];

/** RLS086: rows that look like one user's are every user's of the tenant. */
export const perUserColumnUnscoped = defineDatabaseRule({
  id: 'RLS086',
  title: 'per-user-column-unscoped',
  severity: 'info',
  optIn: 'most tables with such a column are meant for the whole tenant.',
  reason:
    'The table has a column that names a user and no policy that asks for it: every user of the tenant sees every user’s rows.',
  *find(audit) {
    for (const { live, path } of audit.tenantTables) {
      const column = PER_USER.find((name) => live.columns.has(name));
      if (column === undefined) continue;
      const asked = audit
        .policiesForApp(live)
        .flatMap((policy) => audit.clausesOf(live, policy))
        .some(({ expression }) => expression.columns.has(column));
      if (asked) continue;
      yield {
        object: `column "${column}" of table "${path}"`,
        message: 'No policy for the app role asks for it.',
        fix: '-- If rows are one user’s: add a policy AS RESTRICTIVE that compares the column with what says who the user is.',
      };
    }
  },
});

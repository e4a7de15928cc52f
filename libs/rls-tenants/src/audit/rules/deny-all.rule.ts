import { expectedPolicies } from '../expected-policies.js';
import { replacePolicy } from '../fix-sql.js';
import { predicateFor } from '../policy-judgement.js';
import { defineDatabaseRule } from '../rule.js';

/**
 * RLS053: nothing admits the app role. Permissive policies that name other roles are RLS052's, except the admin's own.
 */
export const denyAll = defineDatabaseRule({
  id: 'RLS053',
  title: 'deny-all',
  severity: 'warning',
  reason:
    'Row-level security without a permissive policy admits nothing: the table looks empty to every tenant, and restrictive policies do not change that.',
  *find(audit) {
    for (const table of audit.tenantTables) {
      const { live } = table;
      if (!live.rlsEnabled || !audit.appMay(live, 'SELECT', 'INSERT', 'UPDATE', 'DELETE')) continue;
      const admitting = live.policies.filter(
        ({ permissive, roles }) => permissive && !roles.every((role) => audit.adminRoles.includes(role)),
      );
      if (admitting.length > 0) continue;
      const others = live.policies.filter(({ permissive }) => !permissive);
      yield {
        object: `table "${audit.nameOf(live)}"`,
        message: `The app role has privileges on it, but ${
          others.length === 0 ? 'no policy admits it' : 'only restrictive policies are for it'
        }: every row is hidden and every write refused.`,
        fix: expectedPolicies(table)
          .filter(({ role }) => role === undefined)
          .map(({ predicate, ...policy }) =>
            replacePolicy(
              table.path,
              { ...policy, predicate: policy.command === 'SELECT' ? predicate : predicateFor(table) },
              false,
              false,
            ),
          )
          .join('\n'),
      };
    }
  },
});

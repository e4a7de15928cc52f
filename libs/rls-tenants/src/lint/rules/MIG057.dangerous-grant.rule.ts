import { changes, defineRule } from '../rule.js';

/** MIG057: A privilege that row-level security does not cover, a role that no policy applies to, or a tenant set for a whole role: each opens every tenant's rows. */
export const dangerousGrant = defineRule({
  id: 'MIG057',
  title: 'dangerous-grant',
  severity: 'error',
  reason:
    "A privilege that row-level security does not cover, a role that no policy applies to, or a tenant set for a whole role: each opens every tenant's rows.",
  *find(migration, context) {
    for (const { statement, change } of changes(migration, 'up', 'grant')) {
      if (change.danger === undefined) continue;
      yield {
        at: statement,
        message: `${change.danger.charAt(0).toUpperCase()}${change.danger.slice(1)}.`,
        fix: 'Grant SELECT, INSERT, UPDATE and DELETE on named tables to the app role: grantTable(). Roles are made by `rls-tenants setup-roles`; a role is granted WITH INHERIT FALSE, SET TRUE.',
      };
    }
    for (const { statement, change } of changes(migration, 'up', 'role-setting')) {
      const isTenant = change.setting.toLowerCase() === context.tenantSetting.toLowerCase();
      if (!isTenant && change.setting !== 'row_security') continue;
      yield {
        at: statement,
        message: `Every connection of ${change.of} starts with ${change.setting} set: code without a tenant context acts as that tenant.`,
        fix: `Remove it, and run: ALTER … RESET ${change.setting};`,
      };
    }
  },
});

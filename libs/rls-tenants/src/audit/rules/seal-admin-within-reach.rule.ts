import type { CatalogRole } from '../catalog.js';
import { revokeRole } from '../fix-sql.js';
import { defineRule } from '../rule.js';
import { hasSealedPolicy, sealableTables } from '../sealed-policies.js';

/** RLS063: under a seal the app role must not be one SET ROLE away from the policies that show everything. */
export const sealAdminWithinReach = defineRule({
  id: 'RLS063',
  title: 'seal-admin-within-reach',
  severity: 'critical',
  reason:
    'A statement that cannot make itself another tenant makes itself admin, where the app role may become the admin role: no seal is asked of that.',
  *find(catalog, context) {
    const { appRole, roles, seals } = catalog;
    if (appRole.superuser || seals.length === 0) return;
    const sealed = sealableTables(context, seals).some(hasSealedPolicy);
    for (const name of context.adminRoles) {
      const role = roles.get(name);
      const how = role && reachOf(role);
      // Inheriting it is a hole without any seal, too: RLS003 says so until tables are sealed.
      if (how === undefined || (!sealed && !role!.settable)) continue;
      yield {
        // Until then admin contexts may still need it.
        ...(sealed ? {} : { severity: 'warning' as const }),
        object: `role "${appRole.name}"`,
        message: `The role ${how} the admin role "${name}", whose policies ask for no seal.${sealed ? '' : ' No table is sealed yet: take the membership away before the first one is.'}`,
        fix: revokeRole(name, appRole.name),
      };
    }
  },
});

function reachOf({ inherited, settable, grantable }: CatalogRole): string | undefined {
  if (inherited) return 'inherits';
  if (settable) return 'may SET ROLE to';
  return grantable ? 'may grant itself' : undefined;
}

import { defineRule, type Observation } from '../rule.js';
import { alterRole } from '../fix-sql.js';
import type { CatalogRole } from '../catalog.js';

/** RLS001: PostgreSQL skips every policy for superusers and for roles with BYPASSRLS, FORCE included. */
export const runtimeRoleExempt = defineRule({
  id: 'RLS001',
  title: 'runtime-role-exempt',
  severity: 'critical',
  reason:
    'Superusers and roles with BYPASSRLS skip every policy, and RESET ROLE returns to the session user.',
  *find({ server, appRole, roles, auditsOwnConnection }) {
    yield* exempt(appRole);
    if (!auditsOwnConnection || server.sessionUser === server.currentUser) return;
    const session = roles.get(server.sessionUser);
    if (session) yield* exempt(session);
    yield {
      object: `role "${server.sessionUser}"`,
      message: `The connection logs in as "${server.sessionUser}" and runs as "${server.currentUser}": RESET ROLE, which anybody may run, ends that.`,
      fix: `Log in as the app role itself: set \`username\` of the data source to ${JSON.stringify(server.currentUser)}.`,
    };
  },
});

function* exempt({ name, superuser, bypassRls }: CatalogRole): Iterable<Observation> {
  if (superuser) {
    yield {
      object: `role "${name}"`,
      message: `The role is a superuser: PostgreSQL applies no policy to it.`,
      fix: `Connect as an ordinary role (rls-tenants setup-roles prints one). If nothing else needs the privilege: ${alterRole(name, 'NOSUPERUSER')}`,
    };
  }
  if (bypassRls && !superuser) {
    yield {
      object: `role "${name}"`,
      message: 'The role has BYPASSRLS: PostgreSQL applies no policy to it.',
      fix: alterRole(name, 'NOBYPASSRLS'),
    };
  }
}

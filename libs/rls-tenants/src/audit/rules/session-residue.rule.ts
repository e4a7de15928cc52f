import { quoteIdentifier } from '../../policies/index.js';
import { defineDatabaseRule } from '../rule.js';
import { revoke } from '../side-door-fixes.js';

/** RLS085: what a request leaves in its session, the next request on the pooled connection finds. */
export const sessionResidue = defineDatabaseRule({
  id: 'RLS085',
  title: 'session-residue',
  severity: 'info',
  reason:
    'A temporary table has no policy and outlives the request on a pooled connection: the next request, of another tenant, reads it.',
  *find(audit) {
    const { appRole, roles, server } = audit.catalog;
    if (appRole.superuser || !audit.database.appTemp) return;
    const reaching = audit.database.grants
      .filter(({ privilege }) => privilege === 'TEMPORARY')
      .map(({ grantee }) => grantee)
      .filter(
        (grantee) => grantee === null || grantee === appRole.name || roles.get(grantee)?.inherited === true,
      );
    yield {
      // Where injected SQL is taken for possible, so is a table that it leaves to the next tenant.
      ...(audit.catalog.seals.length > 0 ? { severity: 'error' as const } : {}),
      object: `database "${server.database}"`,
      message: `The app role "${appRole.name}" may make temporary tables.`,
      fix: revoke('TEMPORARY', `DATABASE ${quoteIdentifier(server.database)}`, reaching),
    };
  },
});

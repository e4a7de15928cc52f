import { resetStoredSetting } from '../hygiene-fixes.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS088: `row_security = off` shows nobody a row; it makes the app role's statements fail. */
export const rowSecurityOffDefault = defineDatabaseRule({
  id: 'RLS088',
  title: 'row-security-off-default',
  severity: 'info',
  reason:
    'With row_security = off every statement of the app role on a protected table fails with 42501. It shows no row, and takes the application down.',
  *find(audit) {
    const { appRole, server } = audit.catalog;
    for (const stored of audit.database.storedSettings) {
      if (stored.setting !== 'row_security' || !/^(off|false|no|0)$/i.test(stored.value)) continue;
      if (stored.role !== null && stored.role !== appRole.name) continue;
      const everybody =
        stored.database === null ? 'every role' : `every role in database "${server.database}"`;
      yield {
        object: stored.role === null ? `database "${server.database}"` : `role "${stored.role}"`,
        message: `row_security = ${stored.value} is the default of ${stored.role === null ? everybody : `role "${stored.role}"`}.`,
        fix: resetStoredSetting(stored),
      };
    }
  },
});

import type { CatalogRelation } from '../database-catalog.js';
import { enableRls } from '../fix-sql.js';
import { defineRule, existingTables, type ExistingTable, type RuleContext } from '../rule.js';

/** RLS004: without ENABLE, policies are dormant and everybody with SELECT sees every row. */
export const rlsNotEnabled = defineRule({
  id: 'RLS004',
  title: 'rls-not-enabled',
  severity: 'critical',
  reason: 'Policies do nothing until row-level security is enabled on their table.',
  *find(_catalog, context) {
    for (const table of existingTables(context)) {
      const { live, path, declared } = table;
      if (live.rlsEnabled) continue;
      const dormant = live.policies.length > 0 ? ` Its ${live.policies.length} policies are dormant.` : '';
      const closed = isClosed(table, context);
      yield {
        ...(closed ? { severity: 'warning' as const } : {}),
        object: `table "${path}"`,
        message: closed
          ? `Row-level security is not enabled, and only for want of a privilege does the app role not see every row.${dormant}`
          : `Row-level security is not enabled: every tenant sees every row of ${declared.entityName}.${dormant}`,
        fix: enableRls(path),
      };
    }
  },
});

/** No entity declares it, and the app role has no privilege on it, nor may it become anybody but the admin. */
function isClosed({ recognised, live }: ExistingTable, { database, adminRoles }: RuleContext): boolean {
  if (!recognised || !database) return false;
  // With a whole scope every live table is a CatalogRelation.
  const relation = live as CatalogRelation;
  return (
    !relation.appPrivileges.some((privilege) => READS_OR_WRITES.has(privilege)) &&
    database.reachableRoles.every(({ name }) => adminRoles.includes(name))
  );
}

const READS_OR_WRITES = new Set(['SELECT', 'INSERT', 'UPDATE', 'DELETE']);

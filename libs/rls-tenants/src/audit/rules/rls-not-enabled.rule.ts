import { enableRls } from '../fix-sql.js';
import { defineRule, existingTables } from '../rule.js';

/** RLS004: without ENABLE, policies are dormant and everybody with SELECT sees every row. */
export const rlsNotEnabled = defineRule({
  id: 'RLS004',
  title: 'rls-not-enabled',
  severity: 'critical',
  reason: 'Policies do nothing until row-level security is enabled on their table.',
  *find(_catalog, context) {
    for (const { live, path, declared } of existingTables(context)) {
      if (live.rlsEnabled) continue;
      const dormant = live.policies.length > 0 ? ` Its ${live.policies.length} policies are dormant.` : '';
      yield {
        object: `table "${path}"`,
        message: `Row-level security is not enabled: every tenant sees every row of ${declared.entityName}.${dormant}`,
        fix: enableRls(path),
      };
    }
  },
});

import { enableRls } from '../fix-sql.js';
import { defineRule, existingTables } from '../rule.js';

/** RLS005: without FORCE, the owner, its members, its views and its SECURITY DEFINER functions see every row. */
export const rlsNotForced = defineRule({
  id: 'RLS005',
  title: 'rls-not-forced',
  severity: 'error',
  reason: 'Without FORCE, whatever runs as the owner of the table sees the rows of every tenant.',
  *find(_catalog, context) {
    for (const { live, path } of existingTables(context)) {
      if (!live.rlsEnabled || live.rlsForced) continue;
      yield {
        object: `table "${path}"`,
        message: `Row-level security is not forced: "${live.owner}", its views and its SECURITY DEFINER functions see every row.`,
        fix: enableRls(path),
      };
    }
  },
});

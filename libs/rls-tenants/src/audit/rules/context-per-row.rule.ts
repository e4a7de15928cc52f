import type { PolicyClause } from '../database-audit.js';
import { alterClauses, readOnce, readsPerRow } from '../performance-fixes.js';
import type { SettingRead } from '../policy-expression.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS070: what a policy reads outside of a sub-select, and not for an index condition, is read for each row. */
export const contextPerRow = defineDatabaseRule({
  id: 'RLS070',
  title: 'context-per-row',
  severity: 'warning',
  reason:
    'A function, or a setting that is not simply compared with a column, is read again for every row that PostgreSQL filters, unless it is in a sub-select.',
  *find(audit) {
    for (const relation of audit.protectedRelations) {
      for (const policy of audit.policiesForApp(relation)) {
        const slow = audit
          .clausesOf(relation, policy)
          .flatMap(({ clause, expression }) => [
            ...settingsPerRow(expression).map(() => `${clause}: current_setting()`),
            ...expression.functions
              .filter((call) => readsPerRow(audit, call))
              .map(({ name }) => `${clause}: ${name}()`),
          ]);
        if (slow.length === 0) continue;
        yield {
          object: `policy "${policy.name}" on table "${audit.nameOf(relation)}"`,
          message: `It reads the context once a row wherever it is a filter (${[...new Set(slow)].join(', ')}).`,
          fix:
            alterClauses(audit, relation, policy, (clause) => readOnce(audit, relation, clause)) ??
            '-- Write each call as (SELECT call), without columns of the row in it.',
        };
      }
    }
  },
});

/**
 * Those read for each row, without those of `column = setting` or `column = ANY (setting)` in an outermost AND: an index condition reads them once,
 * and in a sub-select they would be hidden from the planner (RLS077).
 */
function settingsPerRow({ settings, comparisons }: PolicyClause['expression']): SettingRead[] {
  const compared = comparisons
    .filter(({ bare, conjunct, operator }) => bare && conjunct && (operator === '=' || operator === '= ANY'))
    .flatMap((comparison) => comparison.settings.map(({ name }) => name));
  return settings.filter((read) => {
    if (!read.perRow) return false;
    const index = compared.indexOf(read.name);
    if (index !== -1) compared.splice(index, 1);
    return index === -1;
  });
}

import { alterClauses, readOnce, readsPerRow } from '../performance-fixes.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS070: what a policy reads outside of a sub-select is read for each row that is filtered. */
export const contextPerRow = defineDatabaseRule({
  id: 'RLS070',
  title: 'context-per-row',
  severity: 'warning',
  reason:
    'A setting or function that a policy reads outside of a sub-select is read again for every row that PostgreSQL filters.',
  *find(audit) {
    for (const relation of audit.protectedRelations) {
      for (const policy of audit.policiesForApp(relation)) {
        const slow = audit
          .clausesOf(relation, policy)
          .flatMap(({ clause, expression }) => [
            ...expression.settings.filter(({ perRow }) => perRow).map(() => `${clause}: current_setting()`),
            ...expression.functions
              .filter((call) => readsPerRow(audit, call))
              .map(({ name }) => `${clause}: ${name}()`),
          ]);
        if (slow.length === 0) continue;
        yield {
          object: `policy "${policy.name}" on table "${audit.nameOf(relation)}"`,
          message: `It reads the context once a row wherever it is a filter and no index condition (${[...new Set(slow)].join(', ')}).`,
          fix:
            alterClauses(audit, relation, policy, (clause) => readOnce(audit, relation, clause)) ??
            '-- Write each call as (SELECT call), without columns of the row in it.',
        };
      }
    }
  },
});

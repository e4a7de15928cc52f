import type { DatabaseAudit, TenantRelation } from '../database-audit.js';
import type { CatalogRelation } from '../database-catalog.js';
import { holdsItself, readsDirectly } from '../held-views.js';
import { defineDatabaseRule, isTable } from '../rule.js';
import { granteesOf, hideBehindView, revoke } from '../side-door-fixes.js';

/** RLS021: row-level security cannot be enabled on a materialized view. */
export const materializedView = defineDatabaseRule({
  id: 'RLS021',
  title: 'materialized-view',
  severity: 'error',
  reason:
    'A materialized view stores the rows that its owner saw, and shows them to everybody who may read it.',
  *find(audit) {
    for (const stored of audit.database.relations) {
      if (stored.kind !== 'm' || stored.extension !== null) continue;
      const table = tenantTableBelow(audit, stored);
      if (!table) continue;
      const ways = waysTo(audit, stored, table);
      if (ways.length === 0) continue;
      yield {
        object: `materialized view "${audit.nameOf(stored)}"`,
        message: `It holds rows of "${table.path}" without a policy, and the app role reads it ${ways.map(({ text }) => text).join(' and ')}.`,
        fix: fixFor(audit, stored, table, ways),
      };
    }
  },
});

interface Way {
  readonly relation: CatalogRelation;
  readonly text: string;
}

function tenantTableBelow(audit: DatabaseAudit, stored: CatalogRelation): TenantRelation | undefined {
  for (const { relation } of audit.readsOf(stored)) {
    const table = isTable(relation) ? audit.tenantTable(relation) : undefined;
    if (table) return table;
  }
  return undefined;
}

/** Directly, or through a view that does not hold itself to the tenant. */
function waysTo(audit: DatabaseAudit, stored: CatalogRelation, table: TenantRelation): Way[] {
  const direct: Way[] = audit.appMay(stored, 'SELECT') ? [{ relation: stored, text: 'itself' }] : [];
  const views = audit.database.relations
    .filter((view) => view.kind === 'v' && audit.appMay(view, 'SELECT'))
    .filter((view) => {
      const reads = audit.readsOf(view);
      if (!reads.some((read) => read.relation === stored && read.checkedAs !== null)) return false;
      return [view, ...reads.map(({ relation }) => relation)].some(
        (one) =>
          readsDirectly(audit, one, stored) && !holdsItself(audit, one, stored, table.declared.tenantColumn),
      );
    })
    .map((relation) => ({ relation, text: `through the view "${audit.nameOf(relation)}"` }));
  return [...direct, ...views];
}

function fixFor(
  audit: DatabaseAudit,
  stored: CatalogRelation,
  table: TenantRelation,
  ways: readonly Way[],
): string {
  const revokes = ways.map(({ relation }) => {
    const grantees = granteesOf(relation, ['SELECT']);
    return revoke(
      'SELECT',
      `TABLE ${audit.quoted(relation)}`,
      grantees.length > 0 ? grantees : [audit.catalog.appRole.name],
    );
  });
  const tenantColumn = audit.tenantColumnOf(table.live);
  const view =
    tenantColumn !== undefined && stored.columns.has(tenantColumn)
      ? [hideBehindView(audit, stored, table)]
      : [];
  return [...revokes, ...view].join('\n');
}

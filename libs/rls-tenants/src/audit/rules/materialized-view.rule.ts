import { parseSync } from 'libpg-query';
import type { DatabaseAudit, TenantRelation } from '../database-audit.js';
import type { CatalogRelation } from '../database-catalog.js';
import { isNode, type TreeNode } from '../policy-expression.js';
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
        (one) => readsDirectly(audit, one, stored) && !holdsItself(audit, one, stored, table),
      );
    })
    .map((relation) => ({ relation, text: `through the view "${audit.nameOf(relation)}"` }));
  return [...direct, ...views];
}

function readsDirectly(audit: DatabaseAudit, view: CatalogRelation, stored: CatalogRelation): boolean {
  return (
    view.kind === 'v' &&
    audit.rewritesOf(view).some(({ isView, relations }) => isView && relations.includes(stored.oid))
  );
}

/**
 * `SELECT … FROM stored WHERE tenant column = tenant`, with security_barrier: without it a function of the reader's own
 * is evaluated before the view's WHERE.
 */
function holdsItself(
  audit: DatabaseAudit,
  view: CatalogRelation,
  stored: CatalogRelation,
  { declared: { tenantColumn } }: TenantRelation,
): boolean {
  if (!view.options.some((option) => /^security_barrier=(true|on|yes|1)$/i.test(option))) return false;
  const where = onlyWhere(audit.rewritesOf(view).find(({ isView }) => isView)!.definition);
  return where !== undefined && audit.holdsToTenant(audit.expression(where, stored), tenantColumn);
}

/** The WHERE of a query that reads one relation and does nothing else; its text is PostgreSQL's own. */
function onlyWhere(definition: string): string | undefined {
  const { stmts = [] } = parseSync(definition);
  const select = (stmts[0]?.stmt as unknown as TreeNode | undefined)?.SelectStmt;
  if (!isNode(select) || !Array.isArray(select.fromClause) || select.fromClause.length !== 1)
    return undefined;
  const allowed = ['targetList', 'fromClause', 'whereClause', 'limitOption', 'op'];
  if (Object.keys(select).some((key) => !allowed.includes(key))) return undefined;
  const [from] = select.fromClause;
  if (!isNode(from) || !isNode(from.RangeVar) || from.RangeVar.alias !== undefined) return undefined;
  const rest = Buffer.from(definition).subarray(Number(from.RangeVar.location)).toString();
  return /\sWHERE\s(.*?);?\s*$/s.exec(rest)?.[1];
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

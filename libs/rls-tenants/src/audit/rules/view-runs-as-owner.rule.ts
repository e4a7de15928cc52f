import { isSecurityInvoker, type DatabaseAudit } from '../database-audit.js';
import type { CatalogRelation } from '../database-catalog.js';
import { seesEveryTenant } from '../effective-role.js';
import { holdsItself, readsDirectly } from '../held-views.js';
import { defineDatabaseRule } from '../rule.js';
import { readAsReader } from '../side-door-fixes.js';

/** RLS020: policies are asked about the owner of a view, not about its reader, unless it has `security_invoker`. */
export const viewRunsAsOwner = defineDatabaseRule({
  id: 'RLS020',
  title: 'view-runs-as-owner',
  severity: 'critical',
  reason: 'A view reads and writes its tables as its owner, and that owner sees every tenant.',
  *find(audit) {
    for (const view of audit.database.relations) {
      if (view.kind !== 'v' || view.extension !== null) continue;
      if (!audit.appMay(view, 'SELECT', 'INSERT', 'UPDATE', 'DELETE')) continue;
      const open = openReads(audit, view);
      if (open.length === 0) continue;
      yield {
        object: `view "${audit.nameOf(view)}"`,
        message: `Whoever may use it reaches every tenant's rows: ${open.map(({ text }) => text).join('; ')}.`,
        fix: readAsReader(
          audit,
          [view, ...viewsBelow(audit, view)].filter((one) => !isSecurityInvoker(one)),
          [...new Set(open.map(({ table }) => table))],
        ),
      };
    }
  },
});

/** What a materialized view in between holds is RLS021's, and a table without row-level security is RLS004's. */
function openReads(audit: DatabaseAudit, view: CatalogRelation): { table: CatalogRelation; text: string }[] {
  return audit.readsOf(view).flatMap(({ relation: table, checkedAs, stored }) => {
    if (stored || checkedAs === null || audit.tenantTable(table) === undefined) return [];
    if (!table.rlsEnabled && audit.appMay(table, 'SELECT')) return [];
    const why = seesEveryTenant(audit, checkedAs, table);
    if (why === undefined || isHeldOnTheWay(audit, view, table)) return [];
    return [{ table, text: `it reads "${audit.nameOf(table)}" as "${checkedAs}", and ${why}` }];
  });
}

/** Each view that names the table compares the tenant itself. What is written through it is not compared. */
function isHeldOnTheWay(audit: DatabaseAudit, view: CatalogRelation, table: CatalogRelation): boolean {
  const tenantColumn = audit.tenantColumnOf(table);
  if (tenantColumn === undefined || audit.appMay(view, 'INSERT', 'UPDATE', 'DELETE')) return false;
  return [view, ...viewsBelow(audit, view)]
    .filter((one) => readsDirectly(audit, one, table))
    .every((one) => holdsItself(audit, one, table, tenantColumn));
}

function viewsBelow(audit: DatabaseAudit, view: CatalogRelation): CatalogRelation[] {
  return audit
    .readsOf(view)
    .filter(({ relation, stored }) => relation.kind === 'v' && !stored)
    .map(({ relation }) => relation);
}

import { addTenant } from '../table-fixes.js';
import type { DatabaseAudit, TenantRelation } from '../database-audit.js';
import type { CatalogConstraint, CatalogRelation } from '../database-catalog.js';
import { defineDatabaseRule, isTable } from '../rule.js';

/** RLS006: what hangs on tenants' rows is tenants' data, whether or not somebody thought of it. */
export const unclassifiedTable = defineDatabaseRule({
  id: 'RLS006',
  title: 'unclassified-table',
  severity: 'error',
  reason:
    'A table that references tenant tables and has no tenant column of its own shows every tenant which rows the others have.',
  *find(audit) {
    const tenants = tablesOfTenants(audit);
    for (const relation of audit.database.relations) {
      if (!isTable(relation) || relation.parents.length > 0 || relation.extension !== null) continue;
      if (audit.tenantTable(relation) || tenants.has(relation.oid)) continue;
      const keys = audit.constraintsOf(relation).flatMap((constraint) => tenantKey(audit, constraint));
      if (keys.length === 0 || !audit.appMay(relation, 'SELECT', 'INSERT', 'UPDATE', 'DELETE')) continue;
      if (isHeldToParents(audit, relation)) continue;
      yield {
        object: `table "${audit.nameOf(relation)}"`,
        message: `It references ${[...new Set(keys.map(({ table }) => `"${table.path}"`))].join(' and ')}, and nothing holds the app role to one tenant's rows of it.`,
        fix: addTenant(
          audit,
          relation,
          keys[0]!.table,
          keys.map(({ table, constraint }) => ({
            table: table.path,
            tenantColumn: table.declared.tenantColumn,
            columns: constraint.columns.map((column, n) => ({
              column,
              referencedColumn: constraint.referencedColumns[n]!,
            })),
          })),
        ),
      };
    }
  },
});

/** A foreign key to a tenant table that has a tenant column to take the tenant from. */
function tenantKey(
  audit: DatabaseAudit,
  constraint: CatalogConstraint,
): { constraint: CatalogConstraint; table: TenantRelation }[] {
  if (constraint.type !== 'f' || constraint.inherited) return [];
  const referenced = audit.relation(constraint.referencedTable!);
  const table = referenced && audit.tenantTable(referenced);
  return table && audit.tenantColumnOf(table.live) !== undefined ? [{ constraint, table }] : [];
}

/** The tables of tenants themselves, which tenant columns reference: one row a tenant, and no tenant's data. */
function tablesOfTenants(audit: DatabaseAudit): Set<string | null> {
  return new Set(
    audit.protectedRelations.flatMap((relation) =>
      audit
        .constraintsOf(relation)
        .filter(({ type, columns }) => type === 'f' && columns.join() === audit.tenantColumnOf(relation))
        .map(({ referencedTable }) => referencedTable),
    ),
  );
}

/** Row-level security is on, and what admits the app role asks a tenant table for a row that belongs to this one. */
function isHeldToParents(audit: DatabaseAudit, relation: CatalogRelation): boolean {
  if (!relation.rlsEnabled) return false;
  return audit
    .policiesForApp(relation)
    .filter(({ permissive }) => permissive)
    .every((policy) => {
      const asked = audit.dependenciesOf(relation, policy)?.relations ?? [];
      const asksTenantTable = asked.some((oid) => {
        const table = audit.relation(oid);
        return table !== undefined && audit.tenantTable(table) !== undefined;
      });
      return (
        asksTenantTable &&
        audit
          .clausesOf(relation, policy)
          .every(
            ({ expression }) => expression.hasSubselect && !expression.hasOr && expression.columns.size > 0,
          )
      );
    });
}

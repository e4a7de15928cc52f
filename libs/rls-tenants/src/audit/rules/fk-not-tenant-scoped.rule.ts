import { composeForeignKey } from '../table-fixes.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS040: PostgreSQL checks foreign keys and runs their actions without any policy. */
export const fkNotTenantScoped = defineDatabaseRule({
  id: 'RLS040',
  title: 'fk-not-tenant-scoped',
  severity: 'critical',
  reason:
    'Foreign keys are checked, and their actions run, without any policy: without the tenant in the key, rows of one tenant reference and follow those of another.',
  *find(audit) {
    for (const relation of audit.protectedRelations) {
      const tenantColumn = audit.tenantColumnOf(relation);
      // A join table without a tenant column is held to both its sides by its policy.
      if (tenantColumn === undefined) continue;
      for (const constraint of audit.constraintsOf(relation)) {
        if (constraint.type !== 'f' || constraint.inherited) continue;
        const referenced = audit.relation(constraint.referencedTable!);
        const referencedTenantColumn = referenced && audit.tenantColumnOf(referenced);
        if (!referenced || referencedTenantColumn === undefined) continue;
        const pairsTenants = constraint.columns.some(
          (column, n) =>
            column === tenantColumn && constraint.referencedColumns[n] === referencedTenantColumn,
        );
        if (pairsTenants) continue;
        yield {
          object: `constraint "${constraint.name}" on table "${audit.nameOf(relation)}"`,
          message: `The foreign key (${constraint.columns.join(', ')}) to "${audit.nameOf(referenced)}" does not hold the tenants of both rows equal${consequence(constraint.onDelete)}.`,
          fix: composeForeignKey(audit, {
            relation,
            constraint,
            referenced,
            tenantColumn,
            referencedTenantColumn,
          }),
        };
      }
    }
  },
});

/** What deleting the referenced row does to another tenant. */
function consequence(onDelete: string | null): string {
  if (onDelete === 'c') return ', and a delete in one tenant deletes rows of another';
  return onDelete === 'n' || onDelete === 'd' ? ', and a delete in one tenant changes rows of another' : '';
}

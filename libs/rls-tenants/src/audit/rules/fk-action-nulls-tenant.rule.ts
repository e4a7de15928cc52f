import { replaceForeignKey } from '../table-fixes.js';
import type { CatalogConstraint } from '../database-catalog.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS042: an action that sets every column of a composite foreign key also sets the tenant, past all policies. */
export const fkActionNullsTenant = defineDatabaseRule({
  id: 'RLS042',
  title: 'fk-action-nulls-tenant',
  severity: 'error',
  reason:
    'ON DELETE SET NULL or SET DEFAULT without a list of columns takes the tenant from the rows as well, and no policy is asked.',
  *find(audit) {
    for (const relation of audit.protectedRelations) {
      const tenantColumn = audit.tenantColumnOf(relation);
      for (const constraint of audit.constraintsOf(relation)) {
        const position = tenantColumn === undefined ? -1 : constraint.columns.indexOf(tenantColumn);
        if (constraint.type !== 'f' || constraint.inherited || position === -1) continue;
        const action = actionOn(constraint, tenantColumn!);
        const referenced = audit.relation(constraint.referencedTable!);
        if (action === undefined || !referenced) continue;
        const referencedTenantColumn = constraint.referencedColumns[position]!;
        yield {
          object: `constraint "${constraint.name}" on table "${audit.nameOf(relation)}"`,
          message: `${action} sets the tenant column "${tenantColumn}" together with the other columns of the key.`,
          fix: replaceForeignKey(audit, {
            relation,
            constraint,
            referenced,
            tenantColumn: tenantColumn!,
            referencedTenantColumn,
          }),
        };
      }
    }
  },
});

/** The action that overwrites the column. ON UPDATE takes no list of columns. */
function actionOn(
  { onDelete, onUpdate, deleteSetColumns }: CatalogConstraint,
  column: string,
): string | undefined {
  if (sets(onDelete) && (deleteSetColumns === null || deleteSetColumns.includes(column)))
    return `ON DELETE ${word(onDelete)}`;
  return sets(onUpdate) ? `ON UPDATE ${word(onUpdate)}` : undefined;
}

function sets(action: string | null): boolean {
  return action === 'n' || action === 'd';
}

function word(action: string | null): string {
  return action === 'n' ? 'SET NULL' : 'SET DEFAULT';
}

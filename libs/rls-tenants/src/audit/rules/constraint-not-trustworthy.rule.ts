import { enforceConstraint, isEnforced, validateConstraint, validateKeyAgain } from '../table-fixes.js';
import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogRelation } from '../database-catalog.js';
import { defineDatabaseRule } from '../rule.js';

/**
 * RLS047: a constraint that nothing has proven for the rows that were there before it. A foreign key that a role
 * validated which the policies filter looks proven in the catalog; only its owner gives it away.
 */
export const constraintNotTrustworthy = defineDatabaseRule({
  id: 'RLS047',
  title: 'constraint-not-trustworthy',
  severity: 'error',
  reason:
    'A constraint that was never validated, or by a role that sees no rows, does not hold for the rows that were there before it.',
  *find(audit) {
    for (const relation of audit.protectedRelations) {
      for (const constraint of audit.constraintsOf(relation)) {
        if (constraint.inherited) continue;
        const object = `constraint "${constraint.name}" on table "${audit.nameOf(relation)}"`;
        if (!constraint.validated) {
          const enforced = isEnforced(constraint);
          yield {
            object,
            message: enforced
              ? `It is NOT VALID: rows older than it may break it.`
              : `It is NOT ENFORCED: no row has to keep it.`,
            fix: enforced
              ? validateConstraint(audit, relation, constraint.name)
              : enforceConstraint(audit, relation, constraint),
          };
        } else if (constraint.type === 'f') {
          const blind = [relation, audit.relation(constraint.referencedTable!)].find(
            (table) => table && !ownerSeesAllRows(audit, table),
          );
          if (!blind) continue;
          yield {
            severity: 'info',
            object,
            message: `The policies of "${audit.nameOf(blind)}" hide rows from its owner "${blind.owner}": where that role validated the key, nothing was checked.`,
            fix: validateKeyAgain(audit, relation, constraint, blind),
          };
        }
      }
    }
  },
});

/** Whether policies leave the owner of the table every row, so that what it validates is validated. */
function ownerSeesAllRows(audit: DatabaseAudit, table: CatalogRelation): boolean {
  const { owner, policies } = table;
  if (!table.rlsEnabled || !table.rlsForced || audit.roles.isExempt(owner)) return true;
  return policies.some(
    ({ permissive, command, using, roles }) =>
      permissive &&
      (command === 'ALL' || command === 'SELECT') &&
      using !== null &&
      audit.expression(using, table).constant === true &&
      roles.some((role) => role === 'public' || audit.roles.hasPrivilegesOf(owner, role)),
  );
}

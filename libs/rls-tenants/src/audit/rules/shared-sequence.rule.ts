import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogRelation, CatalogSequence } from '../database-catalog.js';
import { defineDatabaseRule } from '../rule.js';
import { becomeIdentity, revokeAllFrom } from '../table-fixes.js';

/** RLS046: a sequence counts the rows of all tenants, and whoever may use it may read and move it. */
export const sharedSequence = defineDatabaseRule({
  id: 'RLS046',
  title: 'shared-sequence',
  severity: 'info',
  reason:
    'A sequence that numbers the rows of all tenants tells each how many rows the others add, to whoever has any privilege on it.',
  *find(audit) {
    const { appRole } = audit.catalog;
    if (appRole.superuser) return;
    for (const sequence of audit.database.sequences) {
      const used = columnOf(audit, sequence);
      const relation = audit.relation(sequence.oid);
      const { appSelect, appUsage, appUpdate } = sequence;
      if (!used || !relation || !(appSelect || appUsage || appUpdate)) continue;
      // setval() makes everybody's next inserts collide.
      yield {
        ...(appUpdate && { severity: 'warning' as const }),
        object: `sequence "${audit.nameOf(relation)}"`,
        message: `It numbers column "${used.column}" of "${audit.nameOf(used.table)}" for all tenants, and the app role "${appRole.name}" may read its last value${
          appUpdate ? ' and set it' : ''
        }.`,
        fix: used.byDefault
          ? becomeIdentity(audit, used.table, used.column, relation)
          : revokeAllFrom(audit, relation),
      };
    }
  },
});

/** The column of a tenant table that the sequence fills, by a default or as an identity. */
function columnOf(
  audit: DatabaseAudit,
  { defaultOf, ownedByTable, ownedByColumn }: CatalogSequence,
): { table: CatalogRelation; column: string; byDefault: boolean } | undefined {
  const owner = ownedByTable === null ? [] : [{ table: ownedByTable, column: ownedByColumn! }];
  for (const { table: oid, column } of [...defaultOf, ...owner]) {
    const table = audit.relation(oid);
    if (table && audit.tenantTable(table)) return { table, column, byDefault: defaultOf.length > 0 };
  }
  return undefined;
}

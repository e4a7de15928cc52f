import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogRelation } from '../database-catalog.js';
import { createTenantIndex } from '../performance-fixes.js';
import { quoteIdentifier } from '../../policies/index.js';
import { defineDatabaseRule } from '../rule.js';

/** From so many rows on it is an error. Below, a scan of the whole table is quick, and the table may be new. */
const MANY_ROWS = 10_000;

/** RLS072: the policy's predicate needs an index that begins with the tenant column. */
export const noTenantLeadingIndex = defineDatabaseRule({
  id: 'RLS072',
  title: 'no-tenant-leading-index',
  severity: 'error',
  reason:
    'Every statement asks for one tenant’s rows: without an index that begins with the tenant column it reads the rows of all tenants.',
  *find(audit) {
    for (const relation of audit.protectedRelations) {
      const tenantColumn = audit.tenantColumnOf(relation);
      if (tenantColumn === undefined || relation.kind !== 'r') continue;
      if (hasTenantIndex(audit, relation, tenantColumn) || holdsOneTenant(audit, relation, tenantColumn))
        continue;
      const rows = relation.rowEstimate;
      yield {
        severity: rows >= MANY_ROWS ? 'error' : 'warning',
        object: `table "${audit.nameOf(relation)}"`,
        message: `No valid index without a WHERE begins with "${tenantColumn}"${rows < 0 ? '' : ` (about ${rows} rows)`}.`,
        fix: createTenantIndex(unindexedTop(audit, relation, tenantColumn), tenantColumn),
      };
    }
  },
});

function hasTenantIndex(audit: DatabaseAudit, relation: CatalogRelation, tenantColumn: string): boolean {
  return audit
    .indexesOf(relation)
    .some(
      ({ valid, predicate, method, keys }) =>
        valid &&
        predicate === null &&
        (method === 'btree' || method === 'hash') &&
        keys[0]?.column === tenantColumn,
    );
}

/** A list partition of one tenant, or one below it: whatever is in there is that tenant's. */
function holdsOneTenant(audit: DatabaseAudit, relation: CatalogRelation, tenantColumn: string): boolean {
  const [above] = relation.parents.map((oid) => audit.relation(oid));
  if (!above) return false;
  const byTenant = [tenantColumn, quoteIdentifier(tenantColumn)].some(
    (column) => above.partitionKey === `LIST (${column})`,
  );
  const oneValue = /^FOR VALUES IN \([^,]+\)$/.test(relation.partitionBound ?? '');
  return (byTenant && oneValue) || holdsOneTenant(audit, above, tenantColumn);
}

/** The partitioned table to index, unless its other partitions have the index already. */
function unindexedTop(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  tenantColumn: string,
): CatalogRelation {
  const root = relation.isPartition ? audit.rootOf(relation) : relation;
  return hasTenantIndex(audit, root, tenantColumn) ? relation : root;
}

import { scopeUniqueness } from '../table-fixes.js';
import type { CatalogColumn } from '../catalog.js';
import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogIndex, CatalogRelation } from '../database-catalog.js';
import type { Severity } from '../finding.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS041: uniqueness is checked over the rows of all tenants, and its error tells of a row that nobody may see. */
export const uniqueWithoutTenant = defineDatabaseRule({
  id: 'RLS041',
  title: 'unique-without-tenant',
  severity: 'error',
  reason:
    'Uniqueness over all tenants tells one tenant, by an error or a row that is not inserted, which values another has.',
  *find(audit) {
    const referenced = new Set(
      audit.database.constraints.flatMap(({ type, index }) => (type === 'f' && index !== null ? index : [])),
    );
    for (const relation of audit.protectedRelations) {
      const tenantColumn = audit.tenantColumnOf(relation);
      if (tenantColumn === undefined) continue;
      for (const index of audit.indexesOf(relation)) {
        const severity = severityOf(audit, relation, index, tenantColumn);
        if (severity === undefined) continue;
        const constraint = audit
          .constraintsOf(relation)
          .find((one) => one.type !== 'f' && one.index === index.oid);
        const kind = constraint ? 'constraint' : 'index';
        const first = referenced.has(index.oid)
          ? '-- Foreign keys need it: put the tenant into them first (RLS040).\n'
          : '';
        yield {
          severity,
          object: `${kind} "${index.name}" on table "${audit.nameOf(relation)}"`,
          message: `${index.exclusion ? 'EXCLUDE' : 'Uniqueness'} of (${keysOf(index)}) spans all tenants: ${
            severity === 'info'
              ? 'an id given by hand tells whether another tenant has it'
              : 'a conflict tells one tenant that another has the value'
          }.`,
          fix: first + scopeUniqueness(audit, relation, index, constraint, tenantColumn),
        };
      }
    }
  },
});

/** Undefined where nothing can be told: the tenant is a key (not an INCLUDE column), or a key that nobody guesses. */
function severityOf(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  index: CatalogIndex,
  tenantColumn: string,
): Severity | undefined {
  if (!(index.unique || index.exclusion) || index.isPartition) return undefined;
  if (index.keys.some(({ column }) => column === tenantColumn)) return undefined;
  const columns = index.keys.map(({ column }) =>
    column === null ? undefined : relation.columns.get(column),
  );
  const unguessable = columns.some(
    (column) => column?.type === 'uuid' && !namesSharedRow(audit, relation, column),
  );
  if (unguessable) return undefined;
  return columns.every((column) => column && isMeaningless(audit, relation, index, column))
    ? 'info'
    : 'error';
}

/** The uuid of a row that several tenants may know, such as a user's: it references a table that no policy protects. */
function namesSharedRow(audit: DatabaseAudit, relation: CatalogRelation, { name }: CatalogColumn): boolean {
  return audit.constraintsOf(relation).some(({ type, columns, referencedTable }) => {
    if (type !== 'f' || !columns.includes(name)) return false;
    const table = audit.relation(referencedTable!);
    return !table || audit.tenantTable(table) === undefined;
  });
}

/** The value says nothing but that the row is there: a number of a primary key, a sequence, or a tenant's own row. */
function isMeaningless(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  { primary }: CatalogIndex,
  column: CatalogColumn,
): boolean {
  if (primary && /^(date|timestamp)/.test(column.type)) return true;
  if (!/^(smallint|integer|bigint)$/.test(column.type)) return false;
  if (primary || column.identity !== null) return true;
  const numbered =
    column.default !== null &&
    audit.expression(column.default, relation).functions.some(({ name }) => name === 'nextval');
  return numbered || (isReference(audit, relation, column) && !namesSharedRow(audit, relation, column));
}

function isReference(audit: DatabaseAudit, relation: CatalogRelation, { name }: CatalogColumn): boolean {
  return audit.constraintsOf(relation).some(({ type, columns }) => type === 'f' && columns.includes(name));
}

function keysOf({ keys }: CatalogIndex): string {
  return keys.map(({ column, expression }) => column ?? expression).join(', ');
}

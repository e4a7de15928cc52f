import type { CatalogConstraint, CatalogRelation } from '../audit/database-catalog.js';
import type { DatabaseAudit } from '../audit/database-audit.js';
import type { Finding } from '../audit/index.js';
import { operationStep } from '../generate/operation-code.js';
import type { OperationStep } from '../generate/index.js';
import { pathOf } from '../lint/changes.js';
import type { ReferentialAction } from '../policies/index.js';

const ACTIONS: Readonly<Record<string, ReferentialAction | undefined>> = {
  r: 'RESTRICT',
  c: 'CASCADE',
  n: 'SET NULL',
};

/**
 * The composite foreign key that takes the place of a plain one (RLS040), and the unique constraint that it references
 * where there is none. Undefined for keys that the operation cannot replace: partitioned, deferrable, MATCH FULL, SET
 * DEFAULT, and SET NULL before PostgreSQL 15.
 */
export function foreignKeySteps({ object }: Finding, audit: DatabaseAudit): OperationStep[] | undefined {
  for (const relation of audit.protectedRelations) {
    if (!object.endsWith(` on table "${audit.nameOf(relation)}"`)) continue;
    const constraint = audit
      .constraintsOf(relation)
      .find(({ name }) => object === `constraint "${name}" on table "${audit.nameOf(relation)}"`);
    const referenced = audit.relation(constraint?.referencedTable ?? '');
    if (constraint && referenced && isReplaceable(constraint, [relation, referenced], audit)) {
      return replacement(constraint, relation, referenced, audit);
    }
  }
  return undefined;
}

function isReplaceable(
  { onDelete, onUpdate, match, deleteSetColumns, definition }: CatalogConstraint,
  relations: readonly CatalogRelation[],
  { catalog }: DatabaseAudit,
): boolean {
  const nulls = onDelete === 'n' && catalog.server.versionNumber >= 150000;
  return (
    relations.every(({ kind, parents }) => kind === 'r' && parents.length === 0) &&
    match === 's' &&
    deleteSetColumns === null &&
    !/\bDEFERRABLE\b/.test(definition) &&
    (nulls || ['a', 'r', 'c'].includes(onDelete ?? '')) &&
    ['a', 'r', 'c'].includes(onUpdate ?? '')
  );
}

function replacement(
  constraint: CatalogConstraint,
  relation: CatalogRelation,
  referenced: CatalogRelation,
  audit: DatabaseAudit,
): OperationStep[] | undefined {
  const tenantColumn = audit.tenantColumnOf(relation);
  const referencedTenantColumn = audit.tenantColumnOf(referenced);
  if (tenantColumn === undefined || referencedTenantColumn === undefined) return undefined;
  const table = pathOf([relation.schema, relation.name]);
  const referencedTable = pathOf([referenced.schema, referenced.name]);
  const key = operationStep('validatedForeignKey', 'validate', {
    table,
    columns: constraint.columns.map((column, n) => ({
      column,
      referencedColumn: constraint.referencedColumns[n],
    })),
    referencedTable,
    onDelete: ACTIONS[constraint.onDelete ?? ''],
    onUpdate: ACTIONS[constraint.onUpdate ?? ''],
    tenantColumn,
    referencedTenantColumn,
    replaces: constraint.name,
  });
  const columns = [referencedTenantColumn, ...constraint.referencedColumns];
  const step = { ...key, references: [referencedTable] };
  return isUnique(referenced, columns, audit)
    ? [step]
    : [operationStep('uniqueConstraint', 'index', { table: referencedTable, columns }), step];
}

/** What a foreign key may reference: a unique constraint of these columns, in any order. */
function isUnique(relation: CatalogRelation, columns: readonly string[], audit: DatabaseAudit): boolean {
  const wanted = [...columns].sort().join('\0');
  return audit
    .constraintsOf(relation)
    .some(({ type, columns: own }) => /[pu]/.test(type) && [...own].sort().join('\0') === wanted);
}

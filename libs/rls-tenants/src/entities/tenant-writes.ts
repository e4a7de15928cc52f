import type { EntityMetadata, ObjectLiteral } from 'typeorm';
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js';
import type { TenantContextState } from '../context/tenant-context.js';
import { parseTenantId, type TenantIdType } from '../context/tenant-id.js';
import { NoTenantContextError, RlsViolationError } from '../errors.js';
import { tenantScopeOf, type TenantScope } from './tenant-scope.js';

/**
 * Makes an entity (or the value set of a query builder) that is about to be inserted belong to the current tenant:
 * fills the tenant property, in the form in which TypeORM would load it, or accepts it if it names that tenant already,
 * whether as the property or through a relation that shares the column. In admin context the entity must name its
 * tenant itself. The row of a join table that TypeORM inserts on its own has no entity: the column default fills it.
 *
 * @throws RlsViolationError if the entity names another tenant, contradicts itself, or has an SQL expression there.
 * @throws NoTenantContextError for nobody, and in admin context if the entity names no tenant.
 * @throws InvalidTenantIdError if the entity names no tenant id of the configured type.
 */
export function stampTenant(
  metadata: EntityMetadata,
  entity: ObjectLiteral | undefined,
  state: TenantContextState,
): void {
  const scope = tenantScopeOf(metadata);
  if (!scope) return;
  if (state.kind === 'nobody') throw noTenant(metadata, 'there is no tenant in context');
  const named = tenantsNamed(metadata, entity).filter((value) => value !== null);
  const ids = new Set(named.map((value) => checkValue(metadata, scope.tenantIdType, value)));
  if (state.kind === 'tenant') {
    const tenantId = parseTenantId(scope.tenantIdType, state.tenantId);
    for (const id of ids) if (id !== tenantId) throw otherTenant(metadata, id, tenantId);
    if (entity && isMissing(entity, scope.column))
      scope.column.setEntityValue(entity, hydrated(scope.tenantIdType, tenantId));
    return;
  }
  const [first, second] = ids;
  if (first === undefined) throw noTenant(metadata, 'the admin context has no tenant of its own');
  if (second !== undefined) throw otherTenant(metadata, second, first);
}

/**
 * Refuses an update that would move a row to another tenant, in every context. Where TypeORM has not loaded the row (a
 * query builder), it is the current tenant's, or the policy hides it; as admin or for nobody its tenant is not known.
 *
 * @param entity the entity, or the value set of a query builder; what it leaves undefined is not updated.
 * @param databaseEntity the row as TypeORM loaded it; undefined for a query builder.
 * @param updatedColumns the columns that TypeORM found changed; none for a query builder.
 * @throws RlsViolationError if the row is one that the tenant only reads, or the update would change the tenant column, has an SQL expression for it, or names a
 * tenant where the row's own is not known.
 */
export function refuseTenantMove(
  metadata: EntityMetadata,
  entity: ObjectLiteral | undefined,
  databaseEntity: ObjectLiteral | undefined,
  updatedColumns: readonly ColumnMetadata[] | undefined,
  state: TenantContextState,
): void {
  const scope = tenantScopeOf(metadata);
  if (!scope) return;
  refuseReadOnlyRow(metadata, scope, databaseEntity, state);
  const named = tenantsNamed(metadata, entity);
  if (named.length === 0 && !updatedColumns?.includes(scope.column)) return;
  const tenantId = rowTenant(scope.column, scope.tenantIdType, databaseEntity, state);
  if (named.length === 0 || named.includes(null)) throw moved(metadata, 'null', tenantId);
  for (const value of named) {
    const id = checkValue(metadata, scope.tenantIdType, value);
    if (id !== tenantId) throw moved(metadata, JSON.stringify(id), tenantId);
  }
}

/** PostgreSQL would update no row, and report success. */
function refuseReadOnlyRow(
  metadata: EntityMetadata,
  { column, tenantIdType, readableBySet, sharedTenant }: TenantScope,
  databaseEntity: ObjectLiteral | undefined,
  state: TenantContextState,
): void {
  if (state.kind !== 'tenant' || (readableBySet !== true && sharedTenant === undefined)) return;
  const loaded: unknown = databaseEntity && databaseEntity[column.propertyName];
  if (loaded === undefined || loaded === null) return;
  const owner = parseTenantId(tenantIdType, loaded);
  const tenantId = parseTenantId(tenantIdType, state.tenantId);
  if (owner === tenantId) return;
  throw new RlsViolationError(
    `Cannot update "${metadata.name}": the row is tenant ${JSON.stringify(owner)}'s, which tenant ${JSON.stringify(tenantId)} reads and does not write.`,
    owner === sharedTenant
      ? 'Write shared rows in adminContext(reason, fn).'
      : 'Write it inside tenantContext(tenantId, fn) of its own tenant.',
  );
}

/** Every value that an entity gives the tenant column: its property, and relations whose join columns include it. */
function tenantsNamed(metadata: EntityMetadata, entity: ObjectLiteral | undefined): unknown[] {
  const column = tenantScopeOf(metadata)!.column;
  if (!entity) return [];
  const values: unknown[] = [entity[column.propertyName]];
  for (const relation of metadata.relationsWithJoinColumns) {
    const joinColumn = relation.joinColumns.find((join) => join.databaseName === column.databaseName);
    if (!joinColumn) continue;
    const related: unknown = relation.getEntityValue(entity);
    values.push(isObject(related) ? joinColumn.referencedColumn!.getEntityValue(related) : related);
  }
  return values.filter((value) => value !== undefined);
}

function isMissing(entity: ObjectLiteral, column: ColumnMetadata): boolean {
  const value: unknown = entity[column.propertyName];
  return value === undefined || value === null;
}

function isObject(value: unknown): value is ObjectLiteral {
  return typeof value === 'object' && value !== null;
}

function checkValue(metadata: EntityMetadata, tenantIdType: TenantIdType, value: unknown): string {
  if (typeof value !== 'function') return parseTenantId(tenantIdType, value);
  throw new RlsViolationError(
    `The tenant column of "${metadata.name}" is given as an SQL expression.`,
    'Leave it out: it is filled from the tenant context.',
  );
}

/** TypeORM hydrates integers as numbers and all other types of tenant ids as strings. */
function hydrated(tenantIdType: TenantIdType, tenantId: string): string | number {
  return tenantIdType === 'integer' ? Number(tenantId) : tenantId;
}

/** The tenant that the row to be updated is known to belong to, if any. */
function rowTenant(
  column: ColumnMetadata,
  tenantIdType: TenantIdType,
  databaseEntity: ObjectLiteral | undefined,
  state: TenantContextState,
): string | undefined {
  const loaded: unknown = databaseEntity && databaseEntity[column.propertyName];
  if (loaded !== undefined && loaded !== null) return parseTenantId(tenantIdType, loaded);
  return state.kind === 'tenant' ? parseTenantId(tenantIdType, state.tenantId) : undefined;
}

function noTenant(metadata: EntityMetadata, cause: string): NoTenantContextError {
  return new NoTenantContextError(
    `Cannot insert into "${metadata.name}": ${cause}.`,
    metadata.isJunction
      ? 'Link rows inside tenantContext(tenantId, fn) of the tenant that they belong to.'
      : 'Run this inside tenantContext(tenantId, fn), or as admin with the tenant property set.',
  );
}

function otherTenant(metadata: EntityMetadata, named: string, expected: string): RlsViolationError {
  return new RlsViolationError(
    `Cannot insert into "${metadata.name}": the row names tenant ${JSON.stringify(named)} where tenant ${JSON.stringify(expected)} is expected.`,
    'Leave the tenant property out, or run this in the tenant context of the tenant it names.',
  );
}

function moved(metadata: EntityMetadata, named: string, tenantId: string | undefined): RlsViolationError {
  const from = tenantId === undefined ? 'whose tenant is not known' : `of tenant ${JSON.stringify(tenantId)}`;
  return new RlsViolationError(
    `Cannot update "${metadata.name}": a row ${from} would move to tenant ${named}.`,
    'Leave the tenant property out of the update. A row never changes its tenant: insert it for the other tenant and delete it here.',
  );
}

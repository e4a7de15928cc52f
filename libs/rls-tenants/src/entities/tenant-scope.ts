import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js';
import type { EntityMetadata } from 'typeorm';
import type { TenantColumnDefinition, TenantScopedOptions } from './tenant-registry.js';

/** What the completed metadata of a tenant-scoped table knows: its tenant column and that column's definition. */
export interface TenantScope
  extends TenantColumnDefinition, Pick<TenantScopedOptions, 'readableBySet' | 'sharedTenant'> {
  readonly column: ColumnMetadata;
}

const scopes = new WeakMap<EntityMetadata, TenantScope>();

/** Remembers the scope of an entity's or a join table's metadata, once it is resolved. */
export function setTenantScope(metadata: EntityMetadata, scope: TenantScope): void {
  scopes.set(metadata, scope);
}

/** The scope of a tenant-scoped entity or of a join table with a tenant column of its own; undefined otherwise. */
export function tenantScopeOf(metadata: EntityMetadata): TenantScope | undefined {
  return scopes.get(metadata);
}

/** What tenants may read of a table beside their own rows, as policies and auto-scoping are told; empty for most tables. */
export function readingOptionsOf({
  readableBySet,
  sharedTenant,
}: Pick<TenantScopedOptions, 'readableBySet' | 'sharedTenant'>): Pick<
  TenantScope,
  'readableBySet' | 'sharedTenant'
> {
  return { ...(readableBySet && { readableBySet }), ...(sharedTenant !== undefined && { sharedTenant }) };
}

/**
 * The tenant column of a tenant-scoped entity or of a join table with a tenant column of its own; undefined for every
 * other metadata. One look-up, so that it can be called for every statement.
 */
export function tenantColumnOf(metadata: EntityMetadata): ColumnMetadata | undefined {
  return scopes.get(metadata)?.column;
}

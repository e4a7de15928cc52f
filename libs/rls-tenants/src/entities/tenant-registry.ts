import type { TenantId, TenantIdType } from '../context/tenant-id.js';

/** How the join tables that an entity owns are protected; see {@link TenantScopedOptions.joinTables}. */
export type JoinTableForm = 'tenant-column' | 'exists';

/** Options of `@TenantScoped()`. */
export interface TenantScopedOptions {
  /**
   * How the join tables owned by this entity are protected (many-to-many, and the closure table of a tree).
   * `'tenant-column'`: the join table has a tenant column of its own, which every foreign key to a tenant-scoped side
   * includes. `'exists'`: its shape stays as it is, and its policy asks the tables it joins, which costs a sub-select
   * per row. Default `'tenant-column'`.
   */
  joinTables?: JoinTableForm;
  /**
   * A set context (`tenantSetContext`) reads the rows of every tenant in its set; what it writes is its home tenant's.
   * Holds for the join tables that this entity owns, too. Default `false`: a set context sees its home tenant's rows.
   */
  readableBySet?: boolean;
  /**
   * A tenant that exists for its rows: every tenant reads them, and only an admin context writes them. Nobody may act for
   * it. Holds for the join tables that this entity owns, too.
   */
  sharedTenant?: TenantId;
}

/** What `@TenantColumn()` declares about a property. */
export interface TenantColumnDefinition {
  readonly tenantIdType: TenantIdType;
  readonly tenantSetting: string;
}

/** A class as TypeORM's metadata names it: a constructor, or the name of an `EntitySchema`. */
// oxlint-disable-next-line typescript/no-unsafe-function-type -- TypeORM's own type for targets
export type EntityClass = Function;

const scopedClasses = new WeakMap<EntityClass, TenantScopedOptions>();
const tenantColumns = new WeakMap<EntityClass, Map<string, TenantColumnDefinition>>();

/** Registers a class marked `@TenantScoped()`. */
export function registerTenantScoped(target: EntityClass, options: TenantScopedOptions): void {
  scopedClasses.set(target, options);
}

/** Registers a property marked `@TenantColumn()`. */
export function registerTenantColumn(
  target: EntityClass,
  propertyName: string,
  definition: TenantColumnDefinition,
): void {
  const columns = tenantColumns.get(target) ?? new Map<string, TenantColumnDefinition>();
  tenantColumns.set(target, columns.set(propertyName, definition));
}

/** What `@TenantScoped()` said about the class or the nearest class it extends; undefined where none is marked. */
export function tenantScopedOptionsOf(target: EntityClass | string): TenantScopedOptions | undefined {
  if (typeof target === 'string') return undefined;
  for (
    let ancestor: unknown = target;
    typeof ancestor === 'function';
    ancestor = Object.getPrototypeOf(ancestor)
  ) {
    const options = scopedClasses.get(ancestor);
    if (options) return options;
  }
  return undefined;
}

/** Whether the class, or a class it extends, is marked `@TenantScoped()`. */
export function isTenantScoped(target: EntityClass | string): boolean {
  return tenantScopedOptionsOf(target) !== undefined;
}

/** What `@TenantColumn()` said about a property, by the class that declares the property. */
export function tenantColumnDefinitionOf(
  target: EntityClass | string,
  propertyName: string,
): TenantColumnDefinition | undefined {
  return typeof target === 'string' ? undefined : tenantColumns.get(target)?.get(propertyName);
}

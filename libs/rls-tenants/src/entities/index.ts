export * from './tenant-column.decorator.js';
export * from './tenant-scoped.decorator.js';
export * from './tenant-tables.js';
export * from './tenant-writes.js';
export {
  isTenantScoped,
  tenantScopedOptionsOf,
  type JoinTableForm,
  type TenantScopedOptions,
} from './tenant-registry.js';
export { readingOptionsOf, tenantScopeOf, type TenantScope } from './tenant-scope.js';

export { AdminScoped } from './admin-scoped.decorator.js';
export { CurrentTenant } from './current-tenant.decorator.js';
export { GraphqlSchemas } from './graphql/schemas.service.js';
export { keepTenantContext } from './keep-context.js';
export { assertResolverIsAuthorized } from './resolve-request.js';
export * from './resolvers/index.js';
export { RlsTenantsExceptionFilter } from './rls-tenants-exception.filter.js';
export { TenantContextInterceptor } from './tenant-context.interceptor.js';
export { TenantContextMiddleware } from './tenant-context.middleware.js';
export {
  RLS_TENANTS_OPTIONS,
  type ResolvedTenantId,
  type TenantContextOptions,
  type TenantRequest,
  type TenantResolver,
} from './tenant-context.options.js';
export { TenantContext } from './tenant-context.service.js';
export { tenantSetContext } from './tenant-set.js';
export { adminContext, tenantContext, withoutTenant, type TenantContextState } from './tenant-context.js';
export { type TenantId, type TenantIdType } from './tenant-id.js';
export { TenantOptional } from './tenant-optional.decorator.js';
export { WithTenant } from './with-tenant.decorator.js';

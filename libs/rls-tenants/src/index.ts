export * from './errors.js';
export { RlsTenantsModule, type RlsTenantsAsyncOptions } from './rls-tenants.module.js';
export type { RlsTenantsOptions } from './rls-tenants.options.js';

export {
  AdminScoped,
  adminContext,
  CurrentTenant,
  firstOf,
  fromHeader,
  fromPath,
  fromSubdomain,
  fromUser,
  keepTenantContext,
  RlsTenantsExceptionFilter,
  TenantContext,
  tenantContext,
  tenantSetContext,
  TenantContextInterceptor,
  TenantContextMiddleware,
  TenantOptional,
  withoutTenant,
  WithTenant,
  type FromSubdomainOptions,
  type ResolvedTenantId,
  type TenantContextState,
  type TenantId,
  type TenantIdType,
  type TenantRequest,
  type TenantResolver,
} from './context/index.js';

export {
  TenantColumn,
  TenantScoped,
  type TenantColumnOptions,
  type TenantScopedOptions,
} from './entities/index.js';

export type { AdminContextEndedEvent, AdminContextEvent } from './context/context-events.js';
export type { TenantSwitch } from './context/switch-tenant.js';
export type { StatementRefusedEvent, ViolationEvent } from './connection/statement-events.js';
export { logTenantEvents, tenantLogFields, type TenantLogFields } from './observability/index.js';

export {
  isolateDataSource,
  sealKeysFromEnvironment,
  TenantSubscriber,
  unscoped,
  type IsolationOptions,
  type SealKey,
  type SealOptions,
} from './connection/index.js';
export * from './backfill/index.js';
export { consolidatedKeyTable, type ConsolidatedKeyTableOptions } from './consolidate/index.js';

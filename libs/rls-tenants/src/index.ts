export * from './errors.js';
export type { TenantId, TenantIdType } from './context/tenant-id.js';
export { adminContext, tenantContext } from './context/tenant-context.js';
export { TenantContext } from './context/tenant-context.service.js';
export { isolateDataSource, TenantSubscriber, type IsolationOptions } from './connection/index.js';
export { TenantColumn, TenantScoped } from './entities/index.js';

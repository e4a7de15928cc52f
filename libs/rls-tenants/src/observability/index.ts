export { logTenantEvents } from './log-tenant-events.js';
export { tenantLogFields, type TenantLogFields } from './tenant-log-fields.js';

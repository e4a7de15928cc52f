export { withTenantJobs, type TenantJobsOptions } from './with-tenant-jobs.js';
export type { Authorize, TenantTokenKey, TenantTokenOptions } from '../propagation/index.js';

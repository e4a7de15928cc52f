export { TenantJob } from './tenant-job.decorator.js';
export {
  TenantJobsModule,
  type TenantJobsAsyncOptions,
  type TenantJobsModuleOptions,
} from './tenant-jobs.module.js';
export { TenantJobs, type JobProcessor, type TenantJobsOptions } from './tenant-jobs.js';
export type { Authorize, TenantTokenKey, TenantTokenOptions } from '../propagation/index.js';

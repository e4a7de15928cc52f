export { isolateDataSource } from './isolate-data-source.js';
export type { IsolationOptions } from './isolation.options.js';
export { TenantSubscriber } from './tenant.subscriber.js';
export { unscoped } from './unscoped.js';

export { isolateDataSource } from './isolate-data-source.js';
export type { IsolationOptions } from './isolation.options.js';
export { TenantSubscriber } from './tenant.subscriber.js';

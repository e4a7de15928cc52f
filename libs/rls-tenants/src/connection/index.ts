export { isolateDataSource } from './isolate-data-source.js';
export type { IsolationOptions } from './isolation.options.js';
export { checkSealKeys, SEAL_KEYS_VARIABLE, sealKeysFromEnvironment } from './seal.options.js';
export type { SealKey, SealOptions } from './seal.options.js';
export { TenantSubscriber } from './tenant.subscriber.js';
export { unscoped } from './unscoped.js';

export { TenantMessageInterceptor } from './tenant-message.interceptor.js';
export {
  TenantMessagesModule,
  type TenantMessagesAsyncOptions,
  type TenantMessagesModuleOptions,
} from './tenant-messages.module.js';
export { TenantMessages, type TenantMessage, type TenantMessagesOptions } from './tenant-messages.js';
export type { Authorize, TenantTokenKey, TenantTokenOptions } from '../propagation/index.js';

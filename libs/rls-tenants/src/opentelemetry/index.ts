export { TenantSpanProcessor } from './tenant-span.processor.js';

export { canonicalJson } from './canonical-json.js';
export { signData, splitData, TENANT_TOKEN } from './job-data.js';
export { authorizeState, runAs, type Authorize } from './run-verified.js';
export { TenantTokens, type Audience, type TenantTokenOptions } from './tenant-tokens.js';
export { MIN_SECRET_BYTES, type TenantTokenKey } from './token-keys.js';

export { firstOf } from './first-of.resolver.js';
export { fromHeader } from './from-header.resolver.js';
export { fromPath } from './from-path.resolver.js';
export { fromSubdomain, type FromSubdomainOptions } from './from-subdomain.resolver.js';
export { fromUser } from './from-user.resolver.js';

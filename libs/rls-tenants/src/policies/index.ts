export * from './carry.js';
export * from './identifiers.js';
export * from './tenant-expression.js';
export * from './tenant-policy.js';

export { consolidate, type Consolidation } from './copy.js';
export { consolidatedKeyTable, type ConsolidatedKeyTableOptions } from './key-table.operation.js';
export type { Problem } from './layout.js';
export { planConsolidation, type ConsolidationOptions, type ConsolidationPlan } from './plan.js';
export { parseMapping, type SchemaMapping, type TenantSchema } from './schema-mapping.js';
export { verifyConsolidation, type Verification } from './verify.js';

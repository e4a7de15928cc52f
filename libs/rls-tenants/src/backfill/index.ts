export {
  Backfill,
  type BackfillOptions,
  type BackfillProgress,
  type BackfillRunOptions,
  type BackfillTotals,
} from './backfill.js';
export type { BackfillDefinition, BackfillRow, EachBackfill, SetBackfill } from './backfill-definition.js';
export { backfillProgressTable, type BackfillProgressTableOptions } from './progress-table.operation.js';
export {
  createInBatches,
  deleteInBatches,
  updateInBatches,
  type CreateInBatchesOptions,
  type InBatchesOptions,
} from './in-batches.js';

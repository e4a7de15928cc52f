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
export { InProcessBackfillDispatcher, type BackfillDispatcher } from './backfill-dispatcher.js';
export {
  PgBossBackfillDispatcher,
  workBackfills,
  type PgBossBackfillOptions,
  type PgBossDispatcherOptions,
  type PgBossLike,
  type WorkBackfillsOptions,
} from './pg-boss.dispatcher.js';
export { TenantBackfillMigration } from './tenant-backfill.migration.js';

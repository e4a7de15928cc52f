export {
  Backfill,
  type BackfillOptions,
  type BackfillProgress,
  type BackfillRunOptions,
  type BackfillTotals,
} from './backfill.js';
export type {
  BackfillDefinition,
  BackfillRow,
  EachBackfill,
  SetBackfill,
  TenantList,
} from './backfill-definition.js';
export { backfillProgressTable, type BackfillProgressTableOptions } from './progress-table.operation.js';
export {
  createInBatches,
  deleteInBatches,
  updateInBatches,
  type CreateInBatchesOptions,
  type InBatchesOptions,
} from './in-batches.js';
export { InProcessBackfillDispatcher, type BackfillDispatcher } from './backfill-dispatcher.js';
export type { BackfillWorker } from './backfill-job.js';
export {
  PgBossBackfillDispatcher,
  workPgBossBackfills,
  type PgBossBackfillOptions,
  type PgBossDispatcherOptions,
  type PgBossLike,
  type PgBossWorkerOptions,
} from './pg-boss.dispatcher.js';
export {
  BullMqBackfillDispatcher,
  workBullMqBackfills,
  type BullMqQueueLike,
  type BullMqWorkerOptions,
} from './bullmq.dispatcher.js';
export { TenantBackfillMigration } from './tenant-backfill.migration.js';

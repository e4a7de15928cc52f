import type { DataSource, EntityManager } from 'typeorm';
import { RlsTenantsError } from '../errors.js';
import type { BackfillRow, CheckedBackfill, EachBackfill } from './backfill-definition.js';
import type { BackfillTable } from './backfill-table.js';
import { ADVANCE, CLAIM, eachBatchSql, findRowsSql, setBatchSql } from './backfill.sql.js';
import type { BatchTime } from './batch-size.js';
import { isContention, isRowFault } from './retry.js';

/** One tenant's part of a backfill. The tenant is also the current tenant context. */
export interface TenantBackfill {
  definition: CheckedBackfill;
  table: BackfillTable;
  tenantId: string;
  /** The most rows that the next batch takes. */
  limit: number;
  /** Told of each row that could not be changed. */
  onSkipped: (key: readonly string[], error: unknown) => void;
}

/** What one transaction did. */
export interface BatchResult {
  rowsDone: number;
  rowsSkipped: number;
  /** No row is left. */
  done: boolean;
  /** The rows that it could have taken, and how long those took that it found; undefined where it looked for none. */
  measured?: { limit: number; time: BatchTime };
}

interface Batch extends BatchResult {
  cursor: string[] | null;
}

/**
 * Changes the next batch and moves the cursor, in one transaction, so that a crash leaves either both or neither.
 *
 * @returns undefined if another worker has this tenant at the moment.
 * @throws RlsTenantsError if the batch changed none of the rows it found, or the cursor stands still: going on would
 * never end.
 */
export async function runBatch(
  dataSource: DataSource,
  work: TenantBackfill,
): Promise<BatchResult | undefined> {
  try {
    return await runTransaction(dataSource, work);
  } catch (error) {
    if (work.limit === 1 || !isRowFault(error)) throw error;
    // One row fails its statement, and nobody says which: a batch of one finds out, and the next ones grow again.
    return runTransaction(dataSource, { ...work, limit: 1 });
  }
}

function runTransaction(dataSource: DataSource, work: TenantBackfill): Promise<BatchResult | undefined> {
  const { definition, tenantId, limit } = work;
  return dataSource.transaction(async (manager) => {
    const start = performance.now();
    const [claim] = await manager.query<{ cursor: string[] | null; done: boolean }[]>(CLAIM, [
      definition.name,
      tenantId,
      `${definition.lockTimeoutMs}ms`,
    ]);
    const claimed = performance.now();
    if (!claim) return undefined;
    if (claim.done) return { rowsDone: 0, rowsSkipped: 0, done: true };
    const batch = await (definition.set ? setBatch : eachBatch)(manager, work, claim.cursor);
    const time = { roundTripMs: claimed - start, rowsMs: performance.now() - claimed };
    if (batch.cursor !== null && String(batch.cursor) === String(claim.cursor)) {
      throw stalled(work, 'the cursor stands still');
    }
    const { cursor, rowsDone, rowsSkipped, done } = batch;
    const state = done ? 'done' : 'running';
    await manager.query(ADVANCE, [definition.name, tenantId, cursor, rowsDone, rowsSkipped, state]);
    return { rowsDone, rowsSkipped, done, measured: { limit, time } };
  });
}

interface Found {
  locked: number;
  changed: number;
  cursor: string[] | null;
}

async function setBatch(
  manager: EntityManager,
  work: TenantBackfill,
  after: readonly string[] | null,
): Promise<Batch> {
  if (work.limit > 1) return changeRows(manager, work, after);
  // Locked beforehand, so that the row that is skipped is the row that failed.
  const { text, values } = findRowsSql(work.definition, work.table, work, after);
  const [{ cursor }] = await manager.query<[Found]>(text, values);
  if (cursor === null) return { rowsDone: 0, rowsSkipped: 0, cursor, done: true };
  try {
    // Within a transaction TypeORM makes this a savepoint.
    return await manager.transaction((savepoint) => changeRows(savepoint, work, after));
  } catch (error) {
    if (!isRowFault(error)) throw error;
    work.onSkipped(cursor, error);
    return { rowsDone: 0, rowsSkipped: 1, cursor, done: false };
  }
}

async function changeRows(
  manager: EntityManager,
  work: TenantBackfill,
  after: readonly string[] | null,
): Promise<Batch> {
  const { text, values } = setBatchSql(work.definition, work.table, work, after);
  const [{ locked, changed, cursor }] = await manager.query<[Found]>(text, values);
  if (changed < locked) {
    throw stalled(
      work,
      `${locked} rows were found and ${changed} changed: a trigger or a policy is in the way`,
    );
  }
  return { rowsDone: changed, rowsSkipped: 0, cursor, done: locked < work.limit };
}

async function eachBatch(
  manager: EntityManager,
  work: TenantBackfill,
  after: readonly string[] | null,
): Promise<Batch> {
  const { each } = work.definition as CheckedBackfill & EachBackfill;
  const { text, values } = eachBatchSql(work.definition, work.table, work, after);
  const rows = await manager.query<(BackfillRow & { $cursor: string[] })[]>(text, values);
  let rowsSkipped = 0;
  for (const { $cursor: key, ...row } of rows) {
    try {
      await manager.transaction((savepoint) => each(row, savepoint));
    } catch (error) {
      if (isContention(error)) throw error;
      rowsSkipped += 1;
      work.onSkipped(key, error);
    }
  }
  return {
    rowsDone: rows.length - rowsSkipped,
    rowsSkipped,
    cursor: rows.at(-1)?.$cursor ?? null,
    done: rows.length < work.limit,
  };
}

function stalled({ definition, tenantId }: TenantBackfill, cause: string): RlsTenantsError {
  return new RlsTenantsError(
    `Backfill "${definition.name}" makes no progress in table "${definition.table}" for tenant ${tenantId}: ${cause}.`,
    'Nothing of this batch was kept. Find what swallows the update, or leave those rows out with `where`.',
  );
}

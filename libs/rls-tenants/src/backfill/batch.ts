import type { DataSource, EntityManager } from 'typeorm';
import { RlsTenantsError } from '../errors.js';
import type { BackfillRow, CheckedBackfill, EachBackfill } from './backfill-definition.js';
import type { BackfillTable } from './backfill-table.js';
import { ADVANCE, CLAIM, eachBatchSql, setBatchSql } from './backfill.sql.js';
import { isContention } from './retry.js';

/** One tenant's part of a backfill. The tenant is also the current tenant context. */
export interface TenantBackfill {
  definition: CheckedBackfill;
  table: BackfillTable;
  tenantId: string;
  /** Told of each row that `each` failed on. */
  onSkipped: (key: readonly string[], error: unknown) => void;
}

/** What one transaction did. */
export interface BatchResult {
  rowsDone: number;
  rowsSkipped: number;
  /** No row is left. */
  done: boolean;
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
export function runBatch(dataSource: DataSource, work: TenantBackfill): Promise<BatchResult | undefined> {
  const { definition, tenantId } = work;
  return dataSource.transaction(async (manager) => {
    const [claim] = await manager.query<{ cursor: string[] | null; done: boolean }[]>(CLAIM, [
      definition.name,
      tenantId,
      `${definition.lockTimeoutMs}ms`,
    ]);
    if (!claim) return undefined;
    if (claim.done) return { rowsDone: 0, rowsSkipped: 0, done: true };
    const batch = await (definition.set ? setBatch : eachBatch)(manager, work, claim.cursor);
    if (batch.cursor !== null && String(batch.cursor) === String(claim.cursor)) {
      throw stalled(work, 'the cursor stands still');
    }
    const { cursor, rowsDone, rowsSkipped, done } = batch;
    const state = done ? 'done' : 'running';
    await manager.query(ADVANCE, [definition.name, tenantId, cursor, rowsDone, rowsSkipped, state]);
    return { rowsDone, rowsSkipped, done };
  });
}

async function setBatch(
  manager: EntityManager,
  work: TenantBackfill,
  after: readonly string[] | null,
): Promise<Batch> {
  const { text, values } = setBatchSql(work.definition, work.table, work.tenantId, after);
  const [found] = await manager.query<{ locked: number; changed: number; cursor: string[] | null }[]>(
    text,
    values,
  );
  const { locked, changed, cursor } = found!;
  if (changed < locked) {
    throw stalled(
      work,
      `${locked} rows were found and ${changed} changed: a trigger or a policy is in the way`,
    );
  }
  return { rowsDone: changed, rowsSkipped: 0, cursor, done: locked < work.definition.batchSize };
}

async function eachBatch(
  manager: EntityManager,
  work: TenantBackfill,
  after: readonly string[] | null,
): Promise<Batch> {
  const { each, batchSize } = work.definition as CheckedBackfill & EachBackfill;
  const { text, values } = eachBatchSql(work.definition, work.table, work.tenantId, after);
  const rows = await manager.query<(BackfillRow & { $cursor: string[] })[]>(text, values);
  let rowsSkipped = 0;
  for (const { $cursor: key, ...row } of rows) {
    try {
      // Within a transaction TypeORM makes this a savepoint.
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
    done: rows.length < batchSize,
  };
}

function stalled({ definition, tenantId }: TenantBackfill, cause: string): RlsTenantsError {
  return new RlsTenantsError(
    `Backfill "${definition.name}" makes no progress in table "${definition.table}" for tenant ${tenantId}: ${cause}.`,
    'Nothing of this batch was kept. Find what swallows the update, or leave those rows out with `where`.',
  );
}

import type { DataSource } from 'typeorm';
import { ADVANCE, BEGIN_PROGRESS, CLAIM } from '../backfill/backfill.sql.js';
import { progressBar, type ProgressBar } from '../backfill/progress-bar.js';
import { retryContention } from '../backfill/retry.js';
import { RlsTenantsError } from '../errors.js';
import { quoteLiteral } from '../policies/index.js';
import {
  ADVANCE_SEQUENCE,
  copyBatchSql,
  fillBatchSql,
  numberBatchSql,
  type CopiedColumn,
  type RowCopy,
} from './consolidate.sql.js';
import { copyName, type Pass } from './copy-name.js';
import type { TargetTable } from './layout.js';
import {
  batchSizeOf,
  plan,
  type ConsolidationOptions,
  type ConsolidationPlan,
  type TenantTableCopy,
} from './plan.js';
import { Session } from './session.js';
import { verifyCopies, type Verification } from './verify.js';

/** What a consolidation did. Without `verified` there were problems, and nothing was copied. */
export interface Consolidation {
  readonly plan: ConsolidationPlan;
  /** Rows copied by this run. */
  readonly rows: number;
  readonly verified?: readonly Verification[];
}

/** How long a batch waits for a lock before it gives way and is tried again. */
const LOCK_TIMEOUT = '2000ms';

interface BatchRow {
  size: number;
  read: number;
  written: number;
  cursor: string[] | null;
}

/**
 * Copies the schemas into the protected tables, tenant by tenant, and compares afterwards. Each batch is one transaction,
 * which moves the cursor as well, so that after a crash the next run goes on behind the last committed batch and each row
 * is copied once. Nothing in the old schemas is changed.
 *
 * What is written to an old schema behind the cursor is not copied; the comparison says so. Let nobody write there.
 *
 * @param output gets the progress bar if it is a terminal.
 * @throws RlsConfigurationError as {@link planConsolidation} does.
 * @throws RlsTenantsError if a batch fails, or another run copies the same table.
 */
export function consolidate(
  dataSource: DataSource,
  options: ConsolidationOptions,
  output: NodeJS.WriteStream = process.stderr,
): Promise<Consolidation> {
  return Session.with(dataSource, async (session, scopes) => {
    const planned = await plan(session, scopes, options, true);
    if (planned.problems.length > 0) return { plan: planned, rows: 0 };
    // Before any row comes, so that tenants who work in the protected tables already never get a key that comes in.
    for (const { sequence, needed } of planned.sequences)
      await session.query(ADVANCE_SEQUENCE, [sequence, String(needed)]);
    const bar = progressBar('consolidate', planned.schemas.length, output);
    try {
      const rows = await new Copying(session, batchSizeOf(options), bar).all(planned);
      return { plan: planned, rows, verified: await verifyCopies(session, planned) };
    } finally {
      bar.stop();
    }
  });
}

/** Passes over the old tables, batch by batch. */
class Copying {
  constructor(
    private readonly session: Session,
    private readonly batchSize: number,
    private readonly bar: ProgressBar,
  ) {}

  /** @returns how many rows were copied. */
  async all({ schemas, copies }: ConsolidationPlan): Promise<number> {
    let rows = 0;
    for (const { schema } of schemas) {
      const own = copies.filter((copy) => copy.schema === schema);
      const renumbered = own.filter(({ table }) => table.renumbered !== undefined);
      for (const copy of renumbered) await this.pass('keys', copy, numbering(copy, this.batchSize));
      for (const copy of own) rows += await this.pass('rows', copy, copying(copy, this.batchSize));
      const deferred = own.filter(({ copy, table }) => deferredOf(copy, table).length > 0);
      for (const copy of deferred) await this.pass('references', copy, filling(copy, this.batchSize));
      this.bar.tenantDone();
    }
    return rows;
  }

  private async pass(pass: Pass, copied: TenantTableCopy, sqlOf: BatchSql): Promise<number> {
    const { tenantId, schema, table } = copied;
    const name = copyName(pass, copied);
    const { tenantSetting } = table.scope;
    const writing = <T>(work: () => Promise<T>) =>
      retryContention(() => this.session.writing(tenantSetting, tenantId, work), undefined);
    try {
      await writing(() => this.session.query(BEGIN_PROGRESS, [name, tenantId]));
      for (let rows = 0; ;) {
        const batch = await writing(() => this.batch(name, tenantId, sqlOf));
        rows += batch.rows;
        if (pass === 'rows') this.bar.rows(batch.rows);
        if (batch.done) return rows;
      }
    } catch (error) {
      if (error instanceof RlsTenantsError) throw error;
      throw new RlsTenantsError(
        `Copying ${pass} of ${schema}.${table.name} failed: ${error instanceof Error ? error.message : String(error)}`,
        'The batch was undone, and those before it are kept. Mend the cause and run the command again: it goes on from there.',
        { cause: error },
      );
    }
  }

  private async batch(
    name: string,
    tenantId: string,
    sqlOf: BatchSql,
  ): Promise<{ rows: number; done: boolean }> {
    const [claim] = await this.session.query<{ cursor: string[] | null; done: boolean }>(CLAIM, [
      name,
      tenantId,
      LOCK_TIMEOUT,
    ]);
    if (!claim) {
      throw new RlsTenantsError(
        `Another run is at work: ${name}.`,
        'Let it finish. After a crash the server needs a moment to end what was left.',
      );
    }
    if (claim.done) return { rows: 0, done: true };
    const batch = await this.session.one<BatchRow>(sqlOf(claim.cursor), [tenantId, ...(claim.cursor ?? [])]);
    if (batch.written !== batch.read) {
      throw new RlsTenantsError(
        `${name}: of ${batch.read} rows ${batch.written} were written.`,
        'A trigger or a rule of the protected table swallows rows: disable it while rows are copied.',
      );
    }
    const done = batch.size < this.batchSize;
    await this.session.query(ADVANCE, [
      name,
      tenantId,
      batch.cursor,
      batch.written,
      0,
      done ? 'done' : 'running',
    ]);
    return { rows: batch.written, done };
  }
}

type BatchSql = (cursor: readonly string[] | null) => string;

function numbering({ copy, table }: TenantTableCopy, batchSize: number): BatchSql {
  const { sequence } = table.catalog.columns.find(({ name }) => name === table.renumbered)!;
  const [name, from] = [table.scope.table, sequence!].map(quoteLiteral);
  return (cursor) => numberBatchSql(copy, name!, from!, batchSize, cursor);
}

function copying({ copy, table }: TenantTableCopy, batchSize: number): BatchSql {
  const columns = copy.columns.filter(({ name }) => !table.deferred.includes(name));
  return (cursor) => copyBatchSql({ ...copy, columns }, batchSize, cursor);
}

function filling({ copy, table }: TenantTableCopy, batchSize: number): BatchSql {
  return (cursor) => fillBatchSql(copy, deferredOf(copy, table), batchSize, cursor);
}

function deferredOf({ columns }: RowCopy, { deferred }: TargetTable): CopiedColumn[] {
  return columns.filter(({ name }) => deferred.includes(name));
}

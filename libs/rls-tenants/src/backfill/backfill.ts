import { Logger } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import { Isolation } from '../connection/isolation.js';
import { adminContext, tenantContext, withoutTenant } from '../context/tenant-context.js';
import { parseTenantId, type TenantId } from '../context/tenant-id.js';
import { InvalidTenantIdError, RlsConfigurationError } from '../errors.js';
import { checkBackfill, type BackfillDefinition, type CheckedBackfill } from './backfill-definition.js';
import { backfillTable, type BackfillTable } from './backfill-table.js';
import {
  BEGIN_PROGRESS,
  countSql,
  hasRowsSql,
  rowsWithoutTenantSql,
  SUMMARY,
  tenantsSql,
} from './backfill.sql.js';
import { BatchSize } from './batch-size.js';
import { runBatch, type BatchResult } from './batch.js';
import { progressBar, type ProgressBar } from './progress-bar.js';
import { pause, retryContention } from './retry.js';

/** Where a {@link Backfill} writes. */
export interface BackfillOptions {
  /** Default: Nest's logger. */
  logger?: Pick<Logger, 'log' | 'warn'>;
  /** Gets the progress bar if it is a terminal. Default: standard error. */
  output?: NodeJS.WriteStream;
}

/** Options of one run. */
export interface BackfillRunOptions {
  /** Tenants at a time in this process; each takes a connection. Default 1. */
  workers?: number;
  /** Instead of the definition's own tenants. */
  tenants?: Iterable<TenantId>;
  /** Ends the run between two batches; the promise rejects with the signal's reason, and a later run goes on. */
  signal?: AbortSignal;
}

/** What one run did, not counting what others did before or beside it. */
export interface BackfillTotals {
  tenants: number;
  rowsDone: number;
  rowsSkipped: number;
  batches: number;
  /** The longest transaction that found rows, and so the longest time a row was locked, in milliseconds. */
  longestBatchMs: number;
}

/** What the progress table says of a backfill, over all runs and processes. */
export interface BackfillProgress {
  /** Tenants that were begun. */
  tenants: number;
  tenantsDone: number;
  rowsDone: number;
  rowsSkipped: number;
}

const BUSY_WAIT_MS = 50;
const MAY_PROCEED_WAIT_MS = 1000;

/**
 * Changes existing rows in bounded batches, tenant by tenant: one short transaction per batch, in the tenant's context.
 *
 * The cursor moves in the batch's own transaction. Whatever ends a run, a later one goes on after the last committed
 * batch, and each row changes once. Several runs, in one process or many, share the tenants. Rows that are inserted
 * while it runs may be missed: deploy the code that writes them rightly first.
 *
 * Needs the table of {@link backfillProgressTable}. Counterpart of prowler's backfill tasks and pgroll's backfill.
 */
export class Backfill {
  private readonly definitions: ReadonlyMap<string, CheckedBackfill>;
  /** What was learned of a backfill's rows serves all its runs, tenants and jobs in this process. */
  private readonly sizes: ReadonlyMap<string, BatchSize>;
  private readonly isolation: Isolation;
  private readonly logger: Pick<Logger, 'log' | 'warn'>;
  private readonly output: NodeJS.WriteStream;

  /**
   * @param dataSource isolated, of the app role.
   * @throws RlsConfigurationError if the data source is not isolated, or a definition could not run.
   */
  constructor(
    private readonly dataSource: DataSource,
    definitions: readonly BackfillDefinition[],
    { logger = new Logger('Backfill'), output = process.stderr }: BackfillOptions = {},
  ) {
    const isolation = Isolation.get(dataSource);
    if (!isolation) {
      throw new RlsConfigurationError(
        'The data source of a backfill is not isolated, so its statements carry no tenant.',
        'Use one of RlsTenantsModule, or call isolateDataSource(dataSource, options) first.',
      );
    }
    this.isolation = isolation;
    this.definitions = new Map(definitions.map((definition) => [definition.name, checkBackfill(definition)]));
    if (this.definitions.size < definitions.length) {
      throw new RlsConfigurationError(
        'Two backfills have the same name.',
        'The name keeps their progress apart: give each its own.',
      );
    }
    this.sizes = new Map(
      [...this.definitions].map(([name, { batchSize }]) => [name, new BatchSize(batchSize)]),
    );
    this.logger = logger;
    this.output = output;
  }

  /**
   * Runs or resumes a backfill for all its tenants, and logs totals at start and end. With other runs beside it, it
   * returns when no tenant is left to anybody.
   *
   * @throws RlsConfigurationError for an unknown name, a table that cannot be backfilled, or rows without a tenant.
   */
  async run(name: string, options: BackfillRunOptions = {}): Promise<BackfillTotals> {
    const { workers = 1, signal } = options;
    const definition = this.definition(name);
    const table = await backfillTable(this.dataSource, definition);
    const tenants = [...(options.tenants ?? (await this.tenantsOf(name)))];
    this.logger.log(
      `Backfill "${name}" of table "${definition.table}": ${tenants.length} tenants, about ${table.estimatedRows} rows.`,
    );
    const run = this.newRun(definition, table, tenants.length);
    try {
      await this.shareOut(run, tenants, workers, signal);
    } finally {
      run.bar.stop();
      this.logTotals(run, `${run.totals.tenants} tenants finished`);
    }
    return run.totals;
  }

  /**
   * Runs or resumes one tenant's part, and logs totals at start and end; if another worker has it, waits for its end or
   * takes over.
   *
   * @throws InvalidTenantIdError if `tenantId` is not of the data source's type, or is no (longer) tenant of this
   * backfill: the definition's `tenants` do not name it or, where there are none, it has no rows in the table.
   */
  async runTenant(
    name: string,
    tenantId: TenantId,
    { signal }: Pick<BackfillRunOptions, 'signal'> = {},
  ): Promise<BackfillTotals> {
    const definition = this.definition(name);
    const id = this.parse(tenantId);
    const table = await backfillTable(this.dataSource, definition);
    await this.checkTenant(definition, table, id);
    this.logger.log(`Backfill "${name}" of table "${definition.table}": tenant ${id}.`);
    const run = this.newRun(definition, table, undefined);
    try {
      while (!(await this.advance(run, id, signal))) await pause(BUSY_WAIT_MS, signal);
    } finally {
      this.logTotals(run, `tenant ${id} ${run.totals.tenants === 1 ? 'finished' : 'is not finished'}`);
    }
    return run.totals;
  }

  /**
   * The tenants that the definition gives or, by default, that have rows in its table.
   *
   * @throws RlsConfigurationError if rows of the table have no tenant; the message names the first of them.
   */
  async tenantsOf(name: string): Promise<string[]> {
    const definition = this.definition(name);
    const given = await this.givenTenants(definition);
    if (given) return given;
    const table = await backfillTable(this.dataSource, definition);
    return adminContext(`list the tenants of backfill ${name}`, async () => {
      const orphans = await this.dataSource.query<{ key: string[] }[]>(
        rowsWithoutTenantSql(definition, table),
      );
      if (orphans.length > 0) throw rowsWithoutTenant(definition, table, orphans);
      const rows = await this.dataSource.query<{ id: string }[]>(tenantsSql(definition));
      return rows.map(({ id }) => id);
    });
  }

  /** How many rows the table has, over all tenants, counted no further than `limit`. */
  async countRows(name: string, limit: number): Promise<number> {
    const definition = this.definition(name);
    const [row] = await adminContext(`count the rows of backfill ${name}`, () =>
      this.dataSource.query<[{ count: number }]>(countSql(definition), [limit]),
    );
    return row.count;
  }

  /** What the progress table says. */
  async progress(name: string): Promise<BackfillProgress> {
    const [row] = await adminContext(`read the progress of backfill ${name}`, () =>
      this.dataSource.query<[BackfillProgress]>(SUMMARY, [name]),
    );
    return row;
  }

  /** @throws RlsConfigurationError if no backfill of that name was given. */
  private definition(name: string): CheckedBackfill {
    const definition = this.definitions.get(name);
    if (definition) return definition;
    throw new RlsConfigurationError(
      `There is no backfill "${name}".`,
      `Give its definition to this process's Backfill. Known: ${[...this.definitions.keys()].join(', ') || 'none'}.`,
    );
  }

  private parse(tenantId: unknown): string {
    return parseTenantId(this.isolation.options.tenantIdType, tenantId);
  }

  /** The definition's own list, read anew and for nobody: what it may see must not depend on who asks. */
  private givenTenants({ tenants }: CheckedBackfill): Promise<string[] | undefined> {
    return withoutTenant(async () => {
      if (!tenants) return undefined;
      const given: string[] = [];
      for await (const tenantId of await (typeof tenants === 'function' ? tenants() : tenants)) {
        given.push(this.parse(tenantId));
      }
      return given;
    });
  }

  /** Who dispatched may be wrong, or the tenant gone since. */
  private async checkTenant(
    definition: CheckedBackfill,
    table: BackfillTable,
    tenantId: string,
  ): Promise<void> {
    const given = await this.givenTenants(definition);
    const known = given
      ? given.includes(tenantId)
      : await tenantContext(tenantId, async () => {
          const [row] = await this.dataSource.query<[{ found: boolean }]>(hasRowsSql(definition, table), [
            tenantId,
          ]);
          return row.found;
        });
    if (known) return;
    throw new InvalidTenantIdError(
      given
        ? `Tenant ${tenantId} is not among the tenants of backfill "${definition.name}".`
        : `Tenant ${tenantId} has no rows in table "${definition.table}" of backfill "${definition.name}".`,
      'There is nothing to do for it. If it was deleted meanwhile, so may be its job.',
    );
  }

  private newRun(definition: CheckedBackfill, table: BackfillTable, tenants: number | undefined): Run {
    const { name } = definition;
    return new Run(definition, table, this.sizes.get(name)!, progressBar(name, tenants, this.output));
  }

  /** Workers take one tenant each; those that another process has come last, again and again until they are done. */
  private async shareOut(
    run: Run,
    tenants: readonly TenantId[],
    workers: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const failed = new AbortController();
    const stop = AbortSignal.any([failed.signal, ...(signal ? [signal] : [])]);
    // One iterator, which the workers share.
    const waiting = tenants.values();
    const busy: string[] = [];
    const work = async () => {
      for (const tenantId of waiting) {
        const id = this.parse(tenantId);
        if (!(await this.advance(run, id, stop))) busy.push(id);
      }
      for (let id = busy.shift(); id !== undefined; id = busy.shift()) {
        if (await this.advance(run, id, stop)) continue;
        busy.push(id);
        await pause(BUSY_WAIT_MS, stop);
      }
    };
    const outcomes = await Promise.all(
      Array.from({ length: workers }, () =>
        work().then(
          () => true,
          (error: unknown) => (failed.abort(error), false),
        ),
      ),
    );
    // The first failure, or the caller's reason; the others only followed it.
    if (outcomes.includes(false)) throw stop.reason;
  }

  /** Runs a tenant's batches to the end. @returns false if another worker has the tenant. */
  private advance(run: Run, tenantId: string, signal: AbortSignal | undefined): Promise<boolean> {
    const { definition, table } = run;
    const onSkipped = (key: readonly string[], error: unknown) =>
      this.logger.warn(
        `Backfill "${definition.name}" skipped row (${key.join(', ')}) of tenant ${tenantId}: ${String(error)}`,
      );
    return tenantContext(tenantId, async () => {
      await this.dataSource.query(BEGIN_PROGRESS, [definition.name, tenantId]);
      for (;;) {
        await mayProceed(definition, signal);
        const batch = await retryContention(
          () =>
            run.timed(() =>
              runBatch(this.dataSource, { definition, table, tenantId, limit: run.size.rows, onSkipped }),
            ),
          signal,
        );
        if (!batch) return false;
        run.count(batch);
        if (batch.done) return true;
        if (definition.pauseMs > 0) await pause(definition.pauseMs, signal);
      }
    });
  }

  private logTotals({ definition, totals: { rowsDone, rowsSkipped } }: Run, who: string): void {
    const text = `Backfill "${definition.name}": ${who}, ${rowsDone} rows changed, ${rowsSkipped} skipped.`;
    if (rowsSkipped > 0) this.logger.warn(text);
    else this.logger.log(text);
  }
}

/** What one run accumulates. */
class Run {
  readonly totals: BackfillTotals = {
    tenants: 0,
    rowsDone: 0,
    rowsSkipped: 0,
    batches: 0,
    longestBatchMs: 0,
  };

  constructor(
    readonly definition: CheckedBackfill,
    readonly table: BackfillTable,
    readonly size: BatchSize,
    readonly bar: ProgressBar,
  ) {}

  /** Times a transaction. One that found no row locked none, and one that failed may have. */
  async timed(transaction: () => Promise<BatchResult | undefined>): Promise<BatchResult | undefined> {
    const start = performance.now();
    const taken = () => Math.max(this.totals.longestBatchMs, performance.now() - start);
    try {
      const batch = await transaction();
      if (batch && batch.rowsDone + batch.rowsSkipped > 0) this.totals.longestBatchMs = taken();
      return batch;
    } catch (error) {
      this.totals.longestBatchMs = taken();
      throw error;
    }
  }

  count({ rowsDone, rowsSkipped, done, measured }: BatchResult): void {
    if (measured) this.size.learn(measured.limit, rowsDone + rowsSkipped, measured.time);
    this.totals.rowsDone += rowsDone;
    this.totals.rowsSkipped += rowsSkipped;
    this.totals.batches += 1;
    this.bar.rows(rowsDone + rowsSkipped);
    if (!done) return;
    this.totals.tenants += 1;
    this.bar.tenantDone();
  }
}

async function mayProceed(definition: CheckedBackfill, signal: AbortSignal | undefined): Promise<void> {
  while (definition.mayProceed && !(await definition.mayProceed())) {
    await pause(MAY_PROCEED_WAIT_MS, signal);
  }
  signal?.throwIfAborted();
}

function rowsWithoutTenant(
  { name, table, tenantColumn }: CheckedBackfill,
  { key }: BackfillTable,
  orphans: readonly { key: string[] }[],
): RlsConfigurationError {
  const columns = key.map((column) => column.name).join(', ');
  const keys = orphans.map((orphan) => `(${orphan.key.join(', ')})`).join(', ');
  return new RlsConfigurationError(
    `Backfill "${name}": rows of table "${table}" have no tenant; the first have ${columns} ${keys}.`,
    `Give them a tenant first, and make column "${tenantColumn}" NOT NULL.`,
  );
}

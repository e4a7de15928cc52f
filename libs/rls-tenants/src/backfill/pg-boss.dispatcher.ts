import { assertSupportedVersions } from '../supported-versions.js';
import type { BackfillDispatcher } from './backfill-dispatcher.js';
import {
  insertJobs,
  jobKey,
  readJob,
  RETRIES,
  runJob,
  type BackfillJob,
  type BackfillWorker,
} from './backfill-job.js';
import type { Backfill } from './backfill.js';

interface PgBossJob {
  name: string;
  data: object;
  singletonKey: string;
  expireInSeconds: number;
  retryLimit: number;
  retryBackoff: boolean;
}

/** What is needed of a started pg-boss (version 10), which the application makes and stops. */
export interface PgBossLike {
  createQueue(name: string, options: { name: string; policy: 'short' }): Promise<void>;
  insert(jobs: PgBossJob[]): Promise<unknown>;
  work(
    name: string,
    options: { batchSize: number; pollingIntervalSeconds: number },
    handler: (jobs: { data: unknown; expireInSeconds: number }[]) => Promise<unknown>,
  ): Promise<string>;
  notifyWorker(workerId: string): void;
  offWork(worker: { id: string }): Promise<void>;
}

/** Options of dispatcher and worker. */
export interface PgBossBackfillOptions {
  /** The queue's name, the same on both sides. Default `'rls-backfill'`. */
  queue?: string;
}

/** Options of the dispatcher. */
export interface PgBossDispatcherOptions extends PgBossBackfillOptions {
  /**
   * After how many seconds at most a killed worker's tenant goes to another: then pg-boss gives the job up. A tenant that
   * takes longer continues in a further job. Default 300.
   */
  takeOverSeconds?: number;
}

/** Options of {@link workPgBossBackfills}. */
export interface PgBossWorkerOptions extends PgBossBackfillOptions {
  /** How often an idle worker looks for jobs. Default 2. */
  pollingIntervalSeconds?: number;
}

const QUEUE = 'rls-backfill';
const TAKE_OVER_SECONDS = 300;
/** The part of its time that a job uses, so that it ends before pg-boss gives it up. */
const USED_TIME = 0.8;

/**
 * Hands backfills to pg-boss, one job per tenant, for the processes that run {@link workPgBossBackfills}. A job that waits
 * already is not added again.
 */
export class PgBossBackfillDispatcher implements BackfillDispatcher {
  constructor(
    private readonly boss: PgBossLike,
    private readonly options: PgBossDispatcherOptions = {},
  ) {}

  async dispatch(name: string, tenantIds: readonly string[]): Promise<void> {
    const { queue = QUEUE, takeOverSeconds = TAKE_OVER_SECONDS } = this.options;
    await insertJobs(name, tenantIds, async (jobs) => {
      await createQueue(this.boss, queue);
      await this.boss.insert(jobs.map((job) => pgBossJob(queue, job, takeOverSeconds)));
    });
  }
}

/**
 * Takes backfill jobs from pg-boss, one at a time: run it in as many processes as shall share the work. What a job
 * names is checked again here: the backfill must be one of `backfill`'s, the tenant id one of the data source's type and
 * of the backfill's tenants.
 */
export async function workPgBossBackfills(
  boss: PgBossLike,
  backfill: Backfill,
  { queue = QUEUE, pollingIntervalSeconds = 2 }: PgBossWorkerOptions = {},
): Promise<BackfillWorker> {
  await createQueue(boss, queue);
  const closing = new AbortController();
  let current: Promise<unknown> = Promise.resolve();
  const id = await boss.work(queue, { batchSize: 1, pollingIntervalSeconds }, async (jobs) => {
    for (const { data, expireInSeconds } of jobs) {
      const timeout = AbortSignal.timeout(expireInSeconds * 1000 * USED_TIME);
      const signal = AbortSignal.any([closing.signal, timeout]);
      current = runJob(backfill, data, signal).catch(async (error: unknown) => {
        if (error !== signal.reason) throw error;
        await boss.insert([pgBossJob(queue, readJob(data), expireInSeconds)]);
      });
      await current;
    }
    // There may be more: look at once, not after the polling interval.
    boss.notifyWorker(id);
  });
  return {
    async close() {
      const stopped = boss.offWork({ id });
      closing.abort();
      await Promise.all([stopped, current.catch(() => {})]);
    },
  };
}

/** The policy `short` keeps one waiting job per key. */
async function createQueue(boss: PgBossLike, queue: string): Promise<void> {
  assertSupportedVersions(['pg-boss']);
  await boss.createQueue(queue, { name: queue, policy: 'short' });
}

function pgBossJob(queue: string, job: BackfillJob, expireInSeconds: number): PgBossJob {
  return {
    name: queue,
    data: job,
    singletonKey: jobKey(job),
    expireInSeconds,
    retryLimit: RETRIES,
    retryBackoff: true,
  };
}

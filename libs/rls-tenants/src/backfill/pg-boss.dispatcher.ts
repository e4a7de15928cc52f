import { RlsTenantsError } from '../errors.js';
import type { BackfillDispatcher } from './backfill-dispatcher.js';
import type { Backfill } from './backfill.js';

/** One job. */
interface BackfillJob {
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
  insert(jobs: BackfillJob[]): Promise<unknown>;
  work(
    name: string,
    options: { batchSize: number; pollingIntervalSeconds: number },
    handler: (jobs: { data: unknown; expireInSeconds: number }[]) => Promise<unknown>,
  ): Promise<string>;
  notifyWorker(workerId: string): void;
}

/** Options of dispatcher and worker. */
export interface PgBossBackfillOptions {
  /** The queue's name, the same on both sides. Default `'rls-backfill'`. */
  queue?: string;
}

/** Options of the dispatcher. */
export interface PgBossDispatcherOptions extends PgBossBackfillOptions {
  /**
   * After how many seconds pg-boss gives a job up, and so how long a tenant waits after its worker was killed. A tenant
   * that takes longer continues in a further job. Default 300.
   */
  expireInSeconds?: number;
}

/** Options of {@link workBackfills}. */
export interface WorkBackfillsOptions extends PgBossBackfillOptions {
  /** How often an idle worker looks for jobs. Default 2. */
  pollingIntervalSeconds?: number;
}

const QUEUE = 'rls-backfill';
const JOBS_PER_INSERT = 1000;
/** The part of its time that a job uses, so that it ends before pg-boss gives it up. */
const USED_TIME = 0.8;

/**
 * Hands backfills to pg-boss, one job per tenant, for the processes that run {@link workBackfills}. A job that waits
 * already is not added again.
 */
export class PgBossBackfillDispatcher implements BackfillDispatcher {
  constructor(
    private readonly boss: PgBossLike,
    private readonly options: PgBossDispatcherOptions = {},
  ) {}

  async dispatch(name: string, tenantIds: readonly string[]): Promise<void> {
    const { queue = QUEUE, expireInSeconds = 300 } = this.options;
    await createQueue(this.boss, queue);
    for (let start = 0; start < tenantIds.length; start += JOBS_PER_INSERT) {
      const chunk = tenantIds.slice(start, start + JOBS_PER_INSERT);
      await this.boss.insert(chunk.map((tenantId) => jobOf(queue, name, tenantId, expireInSeconds)));
    }
  }
}

/**
 * Takes backfill jobs from pg-boss, one at a time: run it in as many processes as shall share the work. What a job
 * names is checked again here: the backfill must be one of `backfill`'s, the tenant id one of the data source's type.
 *
 * @returns pg-boss's id of the worker.
 */
export async function workBackfills(
  boss: PgBossLike,
  backfill: Backfill,
  { queue = QUEUE, pollingIntervalSeconds = 2 }: WorkBackfillsOptions = {},
): Promise<string> {
  await createQueue(boss, queue);
  const workerId = await boss.work(queue, { batchSize: 1, pollingIntervalSeconds }, async (jobs) => {
    for (const job of jobs) await workJob(boss, backfill, queue, job);
    // There may be more: look at once, not after the polling interval.
    boss.notifyWorker(workerId);
  });
  return workerId;
}

async function workJob(
  boss: PgBossLike,
  backfill: Backfill,
  queue: string,
  { data, expireInSeconds }: { data: unknown; expireInSeconds: number },
): Promise<void> {
  const { name, tenantId } = readJob(data);
  const signal = AbortSignal.timeout(expireInSeconds * 1000 * USED_TIME);
  try {
    await backfill.runTenant(name, tenantId, { signal });
  } catch (error) {
    if (error !== signal.reason) throw error;
    await boss.insert([jobOf(queue, name, tenantId, expireInSeconds)]);
  }
}

/** The policy `short` keeps one waiting job per key. */
function createQueue(boss: PgBossLike, queue: string): Promise<void> {
  return boss.createQueue(queue, { name: queue, policy: 'short' });
}

function jobOf(queue: string, name: string, tenantId: string, expireInSeconds: number): BackfillJob {
  return {
    name: queue,
    data: { name, tenantId },
    singletonKey: `${name}:${tenantId}`,
    expireInSeconds,
    retryLimit: 5,
    retryBackoff: true,
  };
}

function readJob(data: unknown): { name: string; tenantId: string } {
  const { name, tenantId } = (data ?? {}) as Record<string, unknown>;
  if (typeof name === 'string' && typeof tenantId === 'string') return { name, tenantId };
  throw new RlsTenantsError(
    'A backfill job names no backfill or no tenant.',
    'Only PgBossBackfillDispatcher may put jobs into this queue.',
  );
}

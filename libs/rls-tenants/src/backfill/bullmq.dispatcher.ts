import { Logger } from '@nestjs/common';
import { RlsConfigurationError } from '../errors.js';
import type { BackfillDispatcher } from './backfill-dispatcher.js';
import {
  insertJobs,
  isHopeless,
  jobKey,
  RETRIES,
  runJob,
  type BackfillJob,
  type BackfillWorker,
} from './backfill-job.js';
import type { Backfill } from './backfill.js';

interface BullMqJob {
  name: string;
  data: BackfillJob;
  opts: {
    deduplication: { id: string };
    attempts: number;
    backoff: { type: 'exponential'; delay: number };
    removeOnComplete: boolean;
  };
}

/** What is needed of a BullMQ `Queue` (version 5 or 6), which the application makes and closes. */
export interface BullMqQueueLike {
  readonly name: string;
  readonly opts: { connection: object; prefix?: string };
  addBulk(jobs: BullMqJob[]): Promise<unknown>;
}

/** Options of {@link workBullMqBackfills}. */
export interface BullMqWorkerOptions {
  /** After how many seconds at most a killed worker's tenant goes to another. Default 60. */
  takeOverSeconds?: number;
}

const TAKE_OVER_SECONDS = 60;
const BACKOFF_MS = 1000;

/**
 * Hands backfills to BullMQ, one job per tenant, for the processes that run {@link workBullMqBackfills}. A job that is
 * waiting or at work is not added again; one that failed is, beside the failed one.
 */
export class BullMqBackfillDispatcher implements BackfillDispatcher {
  constructor(private readonly queue: BullMqQueueLike) {}

  dispatch(name: string, tenantIds: readonly string[]): Promise<void> {
    return insertJobs(name, tenantIds, (jobs) => this.queue.addBulk(jobs.map(bullMqJob)));
  }
}

function bullMqJob(job: BackfillJob): BullMqJob {
  return {
    name: job.name,
    data: job,
    opts: {
      // A job id would be taken for as long as a failed job is kept, and its tenant never be dispatched again.
      deduplication: { id: jobKey(job) },
      attempts: 1 + RETRIES,
      backoff: { type: 'exponential', delay: BACKOFF_MS },
      removeOnComplete: true,
    },
  };
}

/**
 * Takes backfill jobs from BullMQ, one at a time, over a connection like the queue's: run it in as many processes as shall
 * share the work. What a job names is checked again here: the backfill must be one of `backfill`'s, the tenant id one of
 * the data source's type and of the backfill's tenants. A job that cannot succeed fails without further attempts.
 *
 * @throws RlsConfigurationError if BullMQ is not installed.
 */
export async function workBullMqBackfills(
  queue: BullMqQueueLike,
  backfill: Backfill,
  { takeOverSeconds = TAKE_OVER_SECONDS }: BullMqWorkerOptions = {},
): Promise<BackfillWorker> {
  const { DelayedError, UnrecoverableError, Worker } = await loadBullMq();
  const closing = new AbortController();
  const { connection, prefix } = queue.opts;
  const worker = new Worker(
    queue.name,
    async (job, token) => {
      try {
        await runJob(backfill, job.data, closing.signal);
      } catch (error) {
        if (isHopeless(error)) throw new UnrecoverableError(`${error.message} ${error.hint}`);
        if (error !== closing.signal.reason) throw error;
        // Back into the queue: the attempt does not count.
        await job.moveToDelayed(Date.now(), token);
        throw new DelayedError();
      }
    },
    {
      connection,
      ...(prefix === undefined ? {} : { prefix }),
      // A killed worker's lock has to expire, and then somebody has to notice.
      lockDuration: takeOverSeconds * 500,
      stalledInterval: takeOverSeconds * 500,
      maxStalledCount: RETRIES,
    },
  );
  const logger = new Logger('Backfill');
  worker.on('error', (error) => logger.error(`Worker of queue "${queue.name}": ${String(error)}`));
  worker.on('failed', (job, error) =>
    logger.error(`Job ${job?.id ?? ''} of queue "${queue.name}" failed: ${String(error)}`),
  );
  worker.on('closing', () => closing.abort());
  return worker;
}

/** Loads `bullmq`: an optional peer. */
async function loadBullMq(): Promise<typeof import('bullmq')> {
  try {
    return await import('bullmq');
  } catch (cause) {
    throw new RlsConfigurationError(
      'The package "bullmq" is not installed, and workBullMqBackfills() takes its jobs with it.',
      'Run `npm install bullmq`.',
      { cause },
    );
  }
}

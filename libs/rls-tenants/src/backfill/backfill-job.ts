import { withoutTenant } from '../context/tenant-context.js';
import { checkTenantId } from '../context/tenant-id.js';
import { RlsConfigurationError, RlsTenantsError } from '../errors.js';
import type { Backfill } from './backfill.js';

/** What a job carries: the work of one tenant. */
export interface BackfillJob {
  /** The definition's name. */
  name: string;
  tenantId: string;
}

/** A worker of this process, which takes one job at a time. */
export interface BackfillWorker {
  /** Takes no further job, and ends the current one after its batch: the tenant goes on in a later job. */
  close(): Promise<void>;
}

/** How often a job is tried again after it failed. */
export const RETRIES = 5;

/** How many jobs reach the queue at once. */
const JOBS_PER_INSERT = 1000;

/**
 * Puts one job per tenant into a queue, a thousand at a time.
 *
 * @throws InvalidTenantIdError for what is no tenant id of any type, before any I/O.
 */
export async function insertJobs(
  name: string,
  tenantIds: readonly string[],
  insert: (jobs: BackfillJob[]) => Promise<unknown>,
): Promise<void> {
  const jobs = tenantIds.map((tenantId) => ({ name, tenantId: checkTenantId(tenantId) }));
  for (let start = 0; start < jobs.length; start += JOBS_PER_INSERT) {
    await insert(jobs.slice(start, start + JOBS_PER_INSERT));
  }
}

/** One key per backfill and tenant, whatever characters they hold; by it a queue knows a job that it has already. */
export function jobKey({ name, tenantId }: BackfillJob): string {
  return `${encodeURIComponent(name)}/${encodeURIComponent(tenantId)}`;
}

/**
 * What a worker does with a job's data, which it does not trust: backfill and tenant are checked again. The context that
 * the job begins in is nobody's, whoever started the worker and whatever it did before.
 *
 * @throws RlsTenantsError if the data is no job's.
 */
export function runJob(backfill: Backfill, data: unknown, signal: AbortSignal): Promise<unknown> {
  return withoutTenant(async () => {
    const { name, tenantId } = readJob(data);
    await backfill.runTenant(name, tenantId, { signal });
  });
}

/**
 * Whether a job fails however often it is tried: not its turn is wrong, but what it says. A worker that lacks the
 * definition is another matter: one that was deployed later has it.
 */
export function isHopeless(error: unknown): error is RlsTenantsError {
  return error instanceof RlsTenantsError && !(error instanceof RlsConfigurationError);
}

/** @throws RlsTenantsError if a name or a tenant is missing. */
export function readJob(data: unknown): BackfillJob {
  const { name, tenantId } = (data ?? {}) as Record<string, unknown>;
  if (typeof name === 'string' && typeof tenantId === 'string') return { name, tenantId };
  throw new RlsTenantsError(
    'A backfill job names no backfill or no tenant.',
    'Only a BackfillDispatcher may put jobs into this queue.',
  );
}

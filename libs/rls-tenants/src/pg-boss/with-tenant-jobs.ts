import type PgBoss from 'pg-boss';
import { withoutTenant, type TenantContextState } from '../context/tenant-context.js';
import {
  InvalidTenantTokenError,
  RlsConfigurationError,
  RlsTenantsError,
  TenantAccessDeniedError,
} from '../errors.js';
import {
  authorizeState,
  runAs,
  signData,
  splitData,
  TenantTokens,
  type Audience,
  type Authorize,
  type TenantTokenOptions,
} from '../propagation/index.js';
import { assertSupportedVersions } from '../supported-versions.js';

/** Options of {@link withTenantJobs}. */
export interface TenantJobsOptions extends TenantTokenOptions {
  /**
   * Confirms, when a job begins, that whoever sent it may still act for the tenant. Runs for nobody; `job.data` is what
   * the sender signed, so that an id of a user in it can be trusted. What it throws fails the attempt, as any error does.
   */
  authorize?: Authorize<PgBoss.Job<unknown>>;
  /** Names of queues whose jobs belong to no tenant, such as `'rls-backfill'`: they are left as they are. */
  except?: readonly string[];
}

type Handler = (jobs: PgBoss.Job<unknown>[]) => Promise<unknown>;

/** The methods of pg-boss 10 that are changed; each is a property of the instance. */
interface Methods {
  send(
    nameOrRequest: string | PgBoss.Request,
    data?: object,
    options?: PgBoss.SendOptions,
  ): Promise<string | null>;
  sendAfter(name: string, data: object, ...rest: unknown[]): Promise<string | null>;
  sendThrottled(name: string, data: object, ...rest: unknown[]): Promise<string | null>;
  sendDebounced(name: string, data: object, ...rest: unknown[]): Promise<string | null>;
  schedule(name: string, cron: string, data?: object, options?: PgBoss.ScheduleOptions): Promise<void>;
  insert(jobs: PgBoss.JobInsert[], options?: PgBoss.InsertOptions): Promise<void>;
  publish(...args: unknown[]): Promise<void>;
  work(...args: [string, Handler] | [string, PgBoss.WorkOptions, Handler]): Promise<string>;
}

const wrapped = new WeakSet<object>();

/**
 * Makes a pg-boss (version 10) carry the tenant context from whoever sends a job to the handler that works on it. The
 * instance itself is changed, and returned.
 *
 * - `send`, `sendAfter`, `sendThrottled`, `sendDebounced`, `insert` and `schedule` sign the current tenant context into
 *   the job's data, under `__tenantToken`, for this queue and this data. Where there is no tenant in context they throw
 *   NoTenantContextError before any I/O.
 * - `work` calls the handler once for each job of a batch, all of them at a time, with an array of that one job, in its
 *   own tenant context. A job that fails does not make the others of its batch run again.
 * - A job that is not signed, or whose sender `authorize` refuses, never reaches the handler. It ends `cancelled`, without
 *   further attempts, with the error as its output.
 * - `publish` throws: it does not tell into which queues it puts the jobs, so that they cannot be signed.
 *
 * @throws RlsConfigurationError if the keys cannot be used, the instance is wrapped already, or pg-boss is of another
 * version.
 */
export function withTenantJobs<B extends PgBoss>(boss: B, options: TenantJobsOptions): B {
  if (wrapped.has(boss)) {
    throw new RlsConfigurationError(
      'withTenantJobs() was called twice for one pg-boss.',
      'Call it once, where the instance is made.',
    );
  }
  assertSupportedVersions(['pg-boss']);
  const tokens = new TenantTokens(options);
  wrapped.add(boss);
  signSending(boss, tokens, options);
  verifyWork(boss, tokens, options);
  return boss;
}

function signSending(boss: PgBoss, tokens: TenantTokens, { except = [] }: TenantJobsOptions): void {
  const methods = boss as Methods;
  const { send, schedule, insert } = methods;
  const signed = (queue: string, data: unknown): object =>
    except.includes(queue) ? (data as object) : signData(tokens, audienceOf(queue), data);
  methods.send = async (first, data, sendOptions) =>
    typeof first === 'string'
      ? send(first, signed(first, data), sendOptions ?? {})
      : send({ ...first, data: signed(first.name, first.data) });
  for (const name of ['sendAfter', 'sendThrottled', 'sendDebounced'] as const) {
    const original = methods[name];
    methods[name] = async (queue, data, ...rest) => original(queue, signed(queue, data), ...rest);
  }
  methods.schedule = async (queue, cron, data, scheduleOptions) =>
    schedule(queue, cron, signed(queue, data), scheduleOptions);
  methods.insert = async (jobs, insertOptions) =>
    insert(
      jobs.map((job) => ({ ...job, data: signed(job.name, job.data) })),
      insertOptions,
    );
  methods.publish = () =>
    Promise.reject(
      new RlsTenantsError(
        'pg-boss puts what publish() is given into queues that it does not name, so that it cannot be signed for them.',
        'Call send() for each queue.',
      ),
    );
}

function verifyWork(boss: PgBoss, tokens: TenantTokens, options: TenantJobsOptions): void {
  const methods = boss as Methods;
  const { work } = methods;
  methods.work = (...args) => {
    const [queue, workOptions, handler] = args.length === 2 ? [args[0], {}, args[1]] : args;
    const each: Handler = (jobs) => settle(boss, jobs, (job) => workOn(tokens, options, job, handler));
    // The worker's loop would keep the context that it was started in for as long as it runs.
    return withoutTenant(() => work(queue, workOptions, options.except?.includes(queue) ? handler : each));
  };
}

async function workOn(
  tokens: TenantTokens,
  { authorize }: TenantJobsOptions,
  job: PgBoss.Job<unknown>,
  handler: Handler,
): Promise<unknown> {
  const { data, token } = splitData(job.data);
  const unsigned = { ...job, data };
  let state: TenantContextState;
  try {
    state = tokens.verify(token, audienceOf(job.name), data);
    await authorizeState(state, authorize, unsigned);
  } catch (error) {
    throw isRefusal(error) ? new Refusal(error) : error;
  }
  return runAs(state, async () => handler([unsigned]));
}

/** Tells a job that was refused from one whose handler threw the same kind of error. */
class Refusal {
  constructor(readonly error: RlsTenantsError) {}
}

/**
 * Works on each job of a batch. pg-boss completes or fails a batch as a whole, which takes no notice of jobs that are
 * over already: so those that differ from the rest are ended here, and those that failed are left to it, because a job
 * that is up for another attempt may be at work elsewhere by then.
 */
async function settle(
  boss: PgBoss,
  jobs: PgBoss.Job<unknown>[],
  workOn: (job: PgBoss.Job<unknown>) => Promise<unknown>,
): Promise<unknown> {
  const outcomes = await Promise.allSettled(jobs.map(workOn));
  const errors: unknown[] = [];
  const done: { job: PgBoss.Job<unknown>; result: unknown }[] = [];
  for (const [index, outcome] of outcomes.entries()) {
    const job = jobs[index] as PgBoss.Job<unknown>;
    if (outcome.status === 'fulfilled') done.push({ job, result: outcome.value });
    else if (outcome.reason instanceof Refusal) await cancel(boss, job, outcome.reason.error);
    else errors.push(outcome.reason);
  }
  if (jobs.length === 1 && errors.length === 0) return done[0]?.result;
  for (const { job, result } of done) await boss.complete(job.name, job.id, result as object);
  if (errors.length > 1) throw new AggregateError(errors, `${errors.length} jobs of a batch failed.`);
  if (errors.length === 1) throw errors[0];
}

/** Without further attempts; the output of a job is where pg-boss keeps its error. */
async function cancel(boss: PgBoss, job: PgBoss.Job<unknown>, error: RlsTenantsError): Promise<void> {
  await boss.fail(job.name, job.id, error);
  await boss.cancel(job.name, job.id);
}

function audienceOf(queue: string): Audience {
  return ['pg-boss job', queue];
}

function isRefusal(error: unknown): error is RlsTenantsError {
  return error instanceof InvalidTenantTokenError || error instanceof TenantAccessDeniedError;
}

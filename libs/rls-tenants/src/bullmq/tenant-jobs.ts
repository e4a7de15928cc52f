import { UnrecoverableError, type FlowJob, type FlowProducer, type Job, type Queue } from 'bullmq';
import { copyIdentity } from '../context/with-tenant.decorator.js';
import type { TenantContextState } from '../context/tenant-context.js';
import {
  InvalidTenantTokenError,
  RlsConfigurationError,
  TenantAccessDeniedError,
  type RlsTenantsError,
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
import { guardWorkers } from './worker-guard.js';

/** Options of {@link TenantJobs}. */
export interface TenantJobsOptions extends TenantTokenOptions {
  /**
   * Confirms, when a job begins, that whoever added it may still act for the tenant. Runs for nobody; `job.data` is what
   * the producer signed, so that an id of a user in it can be trusted. What it throws fails the attempt, as any error does.
   */
  authorize?: Authorize<Job>;
  /** Names of queues whose jobs belong to no tenant, such as `'rls-backfill'`: what goes into them is left as it is. */
  except?: readonly string[];
}

/** What a BullMQ worker calls. */
export type JobProcessor<J extends Job = Job, R = unknown> = (
  job: J,
  token?: string,
  signal?: AbortSignal,
) => Promise<R>;

/** What adds jobs. */
type Producer = Queue | FlowProducer;

interface NewJob {
  name: string;
  data?: unknown;
}

const signedBy = new WeakMap<object, TenantJobs>();

/**
 * The tenant context of whoever adds a BullMQ job, signed, becomes the context of the processor that runs it. The token
 * lies in the job's data under `__tenantToken` and is good for this queue, this job name and this data; it stays with the
 * job through delays, retries, flows and schedulers.
 *
 * From the first `TenantJobs` on every worker of the process begins for nobody, so that a processor which is not wrapped
 * sees no tenant's rows.
 */
export class TenantJobs {
  readonly #tokens: TenantTokens;
  readonly #options: TenantJobsOptions;

  /** @throws RlsConfigurationError if the keys cannot be used. */
  constructor(options: TenantJobsOptions) {
    this.#tokens = new TenantTokens(options);
    this.#options = options;
    guardWorkers();
  }

  /**
   * Makes a `Queue` or a `FlowProducer` sign each job that it adds: `add`, `addBulk`, `upsertJobScheduler`, and each job
   * of a flow for its own queue. They then throw NoTenantContextError where there is no tenant in context, before any
   * I/O. The producer itself is changed, and returned.
   *
   * @throws RlsConfigurationError if another `TenantJobs` signs for it.
   */
  sign<P extends Producer>(producer: P): P {
    const signer = signedBy.get(producer);
    if (signer === this) return producer;
    if (signer) {
      throw new RlsConfigurationError(
        'A BullMQ producer is signed for by two TenantJobs.',
        'Make one TenantJobs for an application and let it sign all producers.',
      );
    }
    signedBy.set(producer, this);
    if ('upsertJobScheduler' in producer) this.#signQueue(producer);
    else this.#signFlowProducer(producer);
    return producer;
  }

  /**
   * A processor for `new Worker(queue, processor)` that runs `process` in the tenant context of its job. A job that is
   * not signed, or whose sender `authorize` refuses, fails without further attempts, and `process` does not see it.
   */
  processor<J extends Job, R>(process: JobProcessor<J, R>): JobProcessor<J, R> {
    const wrapper: JobProcessor<J, R> = (job, token, signal) =>
      this.run(job, () => process(job, token, signal));
    // BullMQ makes an AbortSignal only for a processor that has a parameter for it.
    copyIdentity(process, wrapper);
    return wrapper;
  }

  /**
   * Runs `fn` in the tenant context of a job. Inside, `job.data` is what the producer passed, and `job.updateData` signs
   * what it stores.
   *
   * @throws UnrecoverableError (of BullMQ) with an InvalidTenantTokenError or a TenantAccessDeniedError as its cause.
   */
  async run<R>(job: Job, fn: () => R | Promise<R>): Promise<R> {
    const state = await this.#verify(job);
    return runAs(state, async () => fn());
  }

  async #verify(job: Job): Promise<TenantContextState> {
    const audience = audienceOf(job.queueName, job.name);
    try {
      const { data, token } = splitData(job.data);
      const state = this.#tokens.verify(token, audience, data);
      this.#showUnsigned(job, state, audience);
      await authorizeState(state, this.#options.authorize, job);
      return state;
    } catch (error) {
      throw isRefusal(error) ? unrecoverable(error) : error;
    }
  }

  /** What the processor stores in the course of its steps is the data of its next attempt, for the same tenant. */
  #showUnsigned(job: Job, state: TenantContextState, audience: Audience): void {
    const updateData = job.updateData;
    job.data = splitData(job.data).data;
    job.updateData = async (next: unknown) => {
      const signed = runAs(state, () => signData(this.#tokens, audience, next));
      const stored = updateData.call(job, signed);
      job.data = next;
      await stored;
      // In a fork, BullMQ sets it now.
      if (job.data === signed) job.data = next;
    };
  }

  #signQueue(queue: Queue): void {
    if (this.#options.except?.includes(queue.name)) return;
    const { add, addBulk, upsertJobScheduler } = queue;
    queue.add = async (name, data, opts) => add.call(queue, name, this.#data(queue.name, name, data), opts);
    queue.addBulk = async (jobs) =>
      addBulk.call(
        queue,
        jobs.map((job) => this.#signed(queue.name, job)),
      );
    queue.upsertJobScheduler = async (id, repeat, template = {}) => {
      const data: unknown = this.#data(queue.name, template.name ?? id, template.data);
      return upsertJobScheduler.call(queue, id, repeat, { ...template, data });
    };
  }

  #signFlowProducer(producer: FlowProducer): void {
    const { add, addBulk } = producer;
    producer.add = async (flow, opts) => add.call(producer, this.#flow(flow), opts);
    producer.addBulk = async (flows) =>
      addBulk.call(
        producer,
        flows.map((flow) => this.#flow(flow)),
      );
  }

  #flow<F extends Pick<FlowJob, 'name' | 'queueName' | 'data' | 'children'>>(flow: F): F {
    const signed = this.#options.except?.includes(flow.queueName) ? flow : this.#signed(flow.queueName, flow);
    const { children } = flow;
    return children === undefined
      ? signed
      : { ...signed, children: children.map((child) => this.#flow(child)) };
  }

  #signed<J extends NewJob>(queue: string, job: J): J {
    return { ...job, data: this.#data(queue, job.name, job.data) };
  }

  #data(queue: string, name: string, data: unknown): unknown {
    return signData(this.#tokens, audienceOf(queue, name), data);
  }
}

function audienceOf(queue: string, name: string): Audience {
  return ['BullMQ job', queue, name];
}

/** What no further attempt changes. */
function isRefusal(error: unknown): error is RlsTenantsError {
  return error instanceof InvalidTenantTokenError || error instanceof TenantAccessDeniedError;
}

function unrecoverable(cause: RlsTenantsError): UnrecoverableError {
  return Object.assign(new UnrecoverableError(`${cause.message} ${cause.hint}`), { cause });
}

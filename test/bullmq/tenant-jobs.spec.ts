import { setTimeout as sleep } from 'node:timers/promises';
import { FlowProducer, Queue, Worker, type Job, type WorkerOptions } from 'bullmq';
import { TenantJobs, type TenantJobsOptions } from '../../libs/rls-tenants/src/bullmq/index.js';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import { NoTenantContextError, RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import { who } from '../http/support/http-app.js';
import { A, B } from '../support/notes.js';
import { hasRedis, startRedis, type RedisServer } from '../support/redis.js';
import { BODIES, createTwoTenants, type TwoTenants } from '../support/two-tenants.js';

const OLD = { id: 'old', secret: 'o'.repeat(32) };
const NEW = { id: 'new', secret: 'n'.repeat(32) };

/** Every producer and worker has a TenantJobs of its own, as in processes of their own. */
function jobsOf(options: Partial<TenantJobsOptions> = {}): TenantJobs {
  return new TenantJobs({ keys: [NEW], tenantIdType: 'uuid', ...options });
}

interface Seen {
  job: string;
  who: string;
  bodies: string[];
}

const describeOnRedis = hasRedis() || process.env.CI ? describe : describe.skip;

describeOnRedis('BullMQ jobs', () => {
  let notes: TwoTenants;
  let redis: RedisServer;
  let connection: { host: string; port: number };
  const closing: { waitUntilReady(): Promise<unknown>; close(): Promise<unknown> }[] = [];
  const seen: Seen[] = [];

  beforeAll(async () => {
    [redis, notes] = await Promise.all([startRedis(), createTwoTenants()]);
    connection = { host: '127.0.0.1', port: redis.port };
  });
  beforeEach(() => void seen.splice(0));
  afterEach(async () => {
    const parts = closing.splice(0);
    // What is closed while it connects stays behind.
    await Promise.all(parts.map((part) => part.waitUntilReady()));
    await Promise.all(parts.map((part) => part.close()));
  });
  afterAll(async () => {
    await notes.db.drop();
    await redis.stop();
  });

  let names = 0;
  function plainQueue(name = `queue-${(names += 1)}`): Queue {
    const queue = new Queue(name, { connection });
    closing.push(queue);
    return queue;
  }

  /** A queue that signs. */
  function signingQueue(name?: string, options: Partial<TenantJobsOptions> = {}): Queue {
    return jobsOf(options).sign(plainQueue(name));
  }

  function work(
    queue: Queue,
    processor: (job: Job, token?: string, signal?: AbortSignal) => Promise<unknown>,
    options: Partial<WorkerOptions> = {},
  ): Worker {
    const worker = new Worker(queue.name, processor, { connection, ...options });
    worker.on('error', () => {});
    closing.push(worker);
    return worker;
  }

  /** Notes for whom it runs and what it sees, across turns of the event loop. */
  async function look(job: Job): Promise<Seen> {
    const before = who();
    await sleep(Math.random() * 5);
    const bodies = await notes.bodies();
    const view = { job: job.name, who: before === who() ? before : `${before}, then ${who()}`, bodies };
    seen.push(view);
    return view;
  }

  const of = (tenantId: string, job: string): Seen => ({
    job,
    who: tenantId,
    bodies: [BODIES[tenantId] as string],
  });

  async function finished(...queues: Queue[]): Promise<void> {
    const open = async () => {
      const counts = await Promise.all(
        queues.map((queue) =>
          queue.getJobCountByTypes('waiting', 'active', 'delayed', 'prioritized', 'waiting-children'),
        ),
      );
      return counts.some((count) => count > 0);
    };
    while (await open()) await sleep(10);
  }

  async function failed(queue: Queue): Promise<Job> {
    await finished(queue);
    const [job] = (await queue.getFailed()) as Job[];
    if (!job) throw new Error('No job failed.');
    return job;
  }

  describe('that are added in a tenant context', () => {
    it.each([1, 8])('run in it, interleaved, %i at a time in one worker', async (concurrency) => {
      const queue = signingQueue();
      await Promise.all(
        Array.from({ length: 40 }, (_, n) =>
          tenantContext(n % 2 ? A : B, () => queue.add(`job-${n}`, { n }, { attempts: 1 })),
        ),
      );
      work(queue, jobsOf().processor(look), { concurrency });
      await finished(queue);
      const byName = (a: Seen, b: Seen) => Number(a.job.slice(4)) - Number(b.job.slice(4));
      expect(seen.sort(byName)).toEqual(Array.from({ length: 40 }, (_, n) => of(n % 2 ? A : B, `job-${n}`)));
      expect(await notes.all()).toEqual(['of A', 'of B']);
    });

    it('show the processor the data as it was passed, and pass on result, token and signal', async () => {
      const queue = signingQueue();
      const process = async (job: Job, token?: string, signal?: AbortSignal) =>
        Promise.resolve({ data: job.data as unknown, token: typeof token, aborted: signal?.aborted });
      work(queue, jobsOf().processor(process));
      const data = { at: new Date(0), n: 1, nothing: undefined, deep: { z: 1, a: [null] } };
      await tenantContext(A, () => queue.add('send', data));
      await tenantContext(A, () => queue.add('send', undefined));
      await finished(queue);
      const completed = ((await queue.getCompleted()) as Job[]).toReversed();
      expect(completed.map(({ returnvalue }) => returnvalue as unknown)).toEqual([
        {
          data: { at: '1970-01-01T00:00:00.000Z', n: 1, deep: { z: 1, a: [null] } },
          token: 'string',
          aborted: false,
        },
        { data: {}, token: 'string', aborted: false },
      ]);
    });

    it('keep it in bulk, delayed and with a priority', async () => {
      const queue = signingQueue();
      await tenantContext(A, () =>
        queue.addBulk([
          { name: 'now', data: { n: 1 } },
          { name: 'later', data: { n: 2 }, opts: { delay: 50 } },
        ]),
      );
      await tenantContext(B, () => queue.addBulk([{ name: 'urgent', data: {}, opts: { priority: 1 } }]));
      work(queue, jobsOf().processor(look));
      await finished(queue);
      const sorted = [...seen].sort((a, b) => a.job.localeCompare(b.job));
      expect(sorted).toEqual([of(A, 'later'), of(A, 'now'), of(B, 'urgent')]);
    });

    it('keep it through retries, and through steps that store data', async () => {
      const queue = signingQueue();
      const process = async (job: Job<{ step: number }>) => {
        await look(job);
        const { step } = job.data;
        // What a step stores is signed for the job's tenant, whoever it acts for meanwhile.
        await tenantContext(B, () => job.updateData({ ...job.data, step: step + 1 }));
        expect(job.data).toEqual({ step: step + 1 });
        if (step < 3) throw new Error('again');
        return step;
      };
      work(queue, jobsOf().processor(process));
      await tenantContext(A, () => queue.add('steps', { step: 1 }, { attempts: 5 }));
      await finished(queue);
      expect(seen).toEqual([of(A, 'steps'), of(A, 'steps'), of(A, 'steps')]);
      const [job] = (await queue.getCompleted()) as Job[];
      expect(job).toMatchObject({ returnvalue: 3, attemptsMade: 3, data: { step: 4 } });
    });

    it('keep it when a failed job is retried by hand', async () => {
      const queue = signingQueue();
      let works = false;
      const process = async (job: Job) => {
        await look(job);
        if (!works) throw new Error('not yet');
      };
      work(queue, jobsOf().processor(process));
      await tenantContext(A, () => queue.add('by hand', { n: 1 }));
      const job = await failed(queue);
      works = true;
      await tenantContext(B, () => job.retry());
      await finished(queue);
      expect(seen).toEqual([of(A, 'by hand'), of(A, 'by hand')]);
    });

    it('keep it through a flow: each child has a token for its own queue', async () => {
      const [parents, children] = [plainQueue(), plainQueue()];
      const producer = jobsOf().sign(new FlowProducer({ connection }));
      closing.push(producer);
      const flow = (name: string) => ({
        name,
        queueName: parents.name,
        data: { n: 1 },
        children: [
          { name: `${name}/child`, queueName: children.name, data: { n: 2 } },
          {
            name: `${name}/child with children`,
            queueName: children.name,
            children: [{ name: `${name}/grandchild`, queueName: parents.name }],
          },
        ],
      });
      work(parents, jobsOf().processor(look));
      work(children, jobsOf().processor(look), { concurrency: 2 });
      await tenantContext(A, () => producer.add(flow('one')));
      await tenantContext(B, () => producer.addBulk([flow('two')]));
      await finished(parents, children);
      const flowOf = (tenantId: string, name: string) =>
        ['', '/child', '/child with children', '/grandchild'].map((job) => of(tenantId, name + job));
      expect([...seen].sort((a, b) => a.job.localeCompare(b.job))).toEqual(
        [...flowOf(A, 'one'), ...flowOf(B, 'two')].sort((a, b) => a.job.localeCompare(b.job)),
      );
      const tree = await tenantContext(A, () => producer.add(flow('three')));
      const tokenOf = (job: Job) => (job.data as { __tenantToken: string }).__tenantToken;
      const tokens = [tree.job, ...tree.children!.map(({ job }) => job)].map(tokenOf);
      expect(new Set(tokens).size).toBe(3);
      await finished(parents, children);
    });

    it('keep it in every run of a scheduler, from its template', async () => {
      const queue = signingQueue();
      work(queue, jobsOf().processor(look), { concurrency: 2 });
      await tenantContext(A, () =>
        queue.upsertJobScheduler('a', { every: 40 }, { name: 'tick', data: { n: 1 } }),
      );
      await tenantContext(B, () => queue.upsertJobScheduler('b', { every: 40 }));
      while (seen.length < 8) await sleep(10);
      await Promise.all([queue.removeJobScheduler('a'), queue.removeJobScheduler('b')]);
      expect(await queue.getFailedCount()).toBe(0);
      const ofTick = seen.filter(({ job }) => job === 'tick');
      const others = seen.filter(({ job }) => job !== 'tick');
      expect(ofTick.length).toBeGreaterThan(2);
      expect(others.length).toBeGreaterThan(2);
      expect(ofTick).toEqual(ofTick.map(() => of(A, 'tick')));
      expect(others).toEqual(others.map(() => of(B, 'b')));
    });

    it('are asked about again when they begin: who left the tenant meanwhile is refused', async () => {
      const members = new Set(['ann', 'bob']);
      const asked: unknown[] = [];
      const authorize = async (tenantId: string, job: Job<{ user: string }>) => {
        await sleep(1);
        asked.push([who(), tenantId, job.data]);
        return members.has(job.data.user);
      };
      const queue = signingQueue();
      await tenantContext(A, () => queue.add('ann', { user: 'ann' }, { attempts: 3 }));
      await tenantContext(A, () => queue.add('bob', { user: 'bob' }, { attempts: 3 }));
      members.delete('bob');
      work(queue, jobsOf({ authorize }).processor(look));
      expect(await failed(queue)).toMatchObject({
        name: 'bob',
        attemptsMade: 1,
        failedReason: expect.stringContaining('`authorize` refused the sender'),
      });
      expect(seen).toEqual([of(A, 'ann')]);
      expect(asked).toEqual([
        ['nobody', A, { user: 'ann' }],
        ['nobody', A, { user: 'bob' }],
      ]);
    });

    it('are tried again if authorize fails, and are refused if it answers anything but true', async () => {
      const answers: (() => unknown)[] = [
        () => {
          throw new Error('no connection');
        },
        () => true,
        () => 'yes',
      ];
      const authorize = () => answers.shift()!() as boolean;
      const queue = signingQueue();
      await tenantContext(A, () => queue.add('first', {}, { attempts: 2 }));
      work(queue, jobsOf({ authorize }).processor(look));
      await finished(queue);
      expect(seen).toEqual([of(A, 'first')]);
      await tenantContext(A, () => queue.add('second', {}, { attempts: 2 }));
      expect(await failed(queue)).toMatchObject({ name: 'second', attemptsMade: 1 });
    });
  });

  describe('that nobody of us signed fail at once, and their processor does not see them', () => {
    async function expectRefused(queue: Queue, reason: string): Promise<void> {
      work(queue, jobsOf().processor(look));
      expect(await failed(queue)).toMatchObject({
        attemptsMade: 1,
        failedReason: expect.stringContaining(reason),
      });
      expect(seen).toEqual([]);
      expect(await notes.all()).toEqual(['of A', 'of B']);
    }

    it('without a token', async () => {
      const queue = plainQueue();
      await tenantContext(A, () => queue.add('send', { tenantId: A }, { attempts: 5 }));
      await expectRefused(queue, 'has no tenant token');
    });

    it.each([['text'], [[1]], [null]])('without a token, their data being %p', async (data) => {
      const queue = plainQueue();
      await queue.add('send', data, { attempts: 5 });
      await expectRefused(queue, 'has no tenant token');
    });

    it('with a forged token', async () => {
      const queue = plainQueue();
      await queue.add('send', { __tenantToken: `v1.new.${btoa(A)}.x` }, { attempts: 5 });
      await expectRefused(queue, 'the signature of its tenant token is wrong');
    });

    it('with a token of another secret', async () => {
      const queue = signingQueue(undefined, { keys: [{ ...NEW, secret: 'x'.repeat(32) }] });
      await tenantContext(A, () => queue.add('send', {}, { attempts: 5 }));
      await expectRefused(queue, 'the signature of its tenant token is wrong');
    });

    const stolen = async (queue: Queue, name: string, data: object): Promise<object> =>
      (await tenantContext(A, () => queue.add(name, data))).data as object;

    it('with a token of another queue', async () => {
      const queue = plainQueue();
      await queue.add('send', await stolen(signingQueue(), 'send', { n: 1 }), { attempts: 5 });
      await expectRefused(queue, 'made for something else');
    });

    it('with a token of another job of the same queue', async () => {
      const queue = plainQueue();
      const other = signingQueue(queue.name);
      const data = await stolen(other, 'send', { n: 1 });
      await other.drain();
      await queue.add('delete', data, { attempts: 5 });
      await expectRefused(queue, 'made for something else');
    });

    it('with a token lifted onto other data', async () => {
      const queue = plainQueue();
      const other = signingQueue(queue.name);
      const data = await stolen(other, 'send', { amount: 1 });
      await other.drain();
      await queue.add('send', { ...data, amount: 1000 }, { attempts: 5 });
      await expectRefused(queue, 'made for other data');
    });

    it('with data that was changed in Redis', async () => {
      const queue = signingQueue();
      const job = await tenantContext(A, () => queue.add('send', { amount: 1 }, { attempts: 5 }));
      await job.updateData({ ...(job.data as object), amount: 1000 });
      await expectRefused(queue, 'made for other data');
    });

    it('with a token that expired', async () => {
      const queue = signingQueue(undefined, { maxAgeSeconds: -60 });
      await tenantContext(A, () => queue.add('send', {}, { attempts: 5 }));
      await expectRefused(queue, 'its tenant token expired');
    });

    it('with a tenant id of another type', async () => {
      const queue = signingQueue(undefined, { tenantIdType: 'text' });
      await tenantContext('acme', () => queue.add('send', {}, { attempts: 5 }));
      await expectRefused(queue, 'names no tenant id of `tenantIdType`');
    });

    it('with a token of a key that was removed; of one that was rotated they run', async () => {
      const queue = signingQueue(undefined, { keys: [OLD] });
      await tenantContext(A, () => queue.add('rotated', {}));
      const rotating = work(queue, jobsOf({ keys: [NEW, OLD] }).processor(look));
      await finished(queue);
      expect(seen.splice(0)).toEqual([of(A, 'rotated')]);
      await rotating.close();
      await tenantContext(A, () => queue.add('removed', {}, { attempts: 5 }));
      await expectRefused(queue, 'not among `keys`');
    });
  });

  describe('that are added elsewhere', () => {
    it('in no context are refused before they reach Redis, whatever adds them', async () => {
      const queue = signingQueue();
      const producer = jobsOf().sign(new FlowProducer({ connection }));
      closing.push(producer);
      const flow = { name: 'a', queueName: queue.name };
      const adding = [
        () => queue.add('a', {}),
        () => queue.addBulk([{ name: 'a', data: {} }]),
        () => queue.upsertJobScheduler('a', { every: 1000 }),
        () => producer.add(flow),
        () => producer.addBulk([flow]),
        () => adminContext('test', () => queue.add('a', {})),
      ];
      for (const add of adding) await expect(add()).rejects.toThrow(NoTenantContextError);
      expect(await queue.getJobCountByTypes('waiting', 'delayed', 'active', 'failed')).toBe(0);
      expect(await queue.getJobSchedulersCount()).toBe(0);
    });

    it('in no context run for nobody where both sides allow it', async () => {
      const queue = signingQueue(undefined, { allowNobody: true });
      await queue.add('tidy', { n: 1 });
      const process = async (job: Job) => {
        seen.push({ job: job.name, who: who(), bodies: await notes.bodies().catch(() => ['refused']) });
      };
      await tenantContext(A, async () => {
        work(queue, jobsOf({ allowNobody: true }).processor(process));
        return Promise.resolve();
      });
      await finished(queue);
      expect(seen).toEqual([{ job: 'tidy', who: 'nobody', bodies: ['refused'] }]);
    });

    it('as admin run as admin where both sides allow it, and not where one does', async () => {
      const queue = signingQueue(undefined, { allowAdmin: true });
      const add = (name: string) => adminContext('monthly report', () => queue.add(name, { n: 1 }));
      const authorize = () => false;
      await add('report');
      const allowed = work(queue, jobsOf({ allowAdmin: true, authorize }).processor(look));
      await finished(queue);
      expect(seen.splice(0)).toEqual([
        { job: 'report', who: 'admin: monthly report', bodies: ['of A', 'of B'] },
      ]);
      await allowed.close();
      await add('refused');
      work(queue, jobsOf().processor(look));
      expect((await failed(queue)).failedReason).toContain('asks for the admin context');
      expect(seen).toEqual([]);
    });

    it('with data that has no place for a token are refused', async () => {
      const queue = signingQueue();
      for (const data of ['text', 7, [1]]) {
        await expect(tenantContext(A, () => queue.add('a', data))).rejects.toThrow('is no object');
      }
    });

    it('with the data of another job get a token of their own', async () => {
      const queue = signingQueue();
      const first = await tenantContext(A, () => queue.add('a', { n: 1 }));
      await tenantContext(B, () => queue.add('b', first.data));
      work(queue, jobsOf().processor(look));
      await finished(queue);
      expect(seen).toEqual([of(A, 'a'), of(B, 'b')]);
    });

    it('to an excepted queue are left as they are', async () => {
      const queue = plainQueue();
      const jobs = jobsOf({ except: [queue.name] });
      jobs.sign(queue);
      const producer = jobs.sign(new FlowProducer({ connection }));
      closing.push(producer);
      const job = await queue.add('a', { n: 1 });
      expect(job.data).toEqual({ n: 1 });
      const other = plainQueue();
      const flow = {
        name: 'parent',
        queueName: queue.name,
        children: [{ name: 'b', queueName: other.name }],
      };
      await expect(producer.add(flow)).rejects.toThrow(NoTenantContextError);
      const tree = await tenantContext(A, () => producer.add(flow));
      expect(tree.job.data).toBeUndefined();
      expect(Object.keys(tree.children![0]!.job.data as object)).toEqual(['__tenantToken']);
    });
  });

  describe('a processor that is not wrapped', () => {
    const outcome = async (job: Job) => {
      const bodies = await notes.bodies().catch((error: Error) => [error.name]);
      seen.push({ job: job.name, who: who(), bodies });
    };
    const refused = (job: string): Seen => ({ job, who: 'nobody', bodies: ['NoTenantContextError'] });

    it('sees nothing, whoever made the worker, added the job, or was served before it', async () => {
      const queue = signingQueue();
      const jobs = jobsOf();
      const wrapped = jobs.processor(look);
      // One worker, whose processor forgets the wrapper for every second job.
      const forgetful = (job: Job) => (job.name.startsWith('forgotten') ? outcome(job) : wrapped(job));
      const worker = tenantContext(A, () => work(queue, forgetful));
      const events: string[] = [];
      worker.on('completed', () => void events.push(who()));
      for (let n = 0; n < 5; n += 1) {
        await tenantContext(B, async () => {
          await queue.add(`wrapped ${n}`, {});
          await queue.add(`forgotten ${n}`, {});
        });
      }
      await finished(queue);
      expect(seen).toEqual(
        Array.from({ length: 5 }, (_, n) => [of(B, `wrapped ${n}`), refused(`forgotten ${n}`)]).flat(),
      );
      expect(new Set(events)).toEqual(new Set(['nobody']));
    });

    it('sees nothing beside jobs of tenants that run at the same time', async () => {
      const queue = signingQueue();
      const wrapped = jobsOf().processor(look);
      const forgetful = (job: Job) => (job.name === 'forgotten' ? outcome(job) : wrapped(job));
      tenantContext(B, () => work(queue, forgetful, { concurrency: 10 }));
      const jobs = Array.from({ length: 30 }, (_, n) => ({ name: n % 3 ? 'tenant' : 'forgotten', data: {} }));
      await tenantContext(A, () => queue.addBulk(jobs));
      await finished(queue);
      expect(seen.filter(({ job }) => job === 'forgotten')).toEqual(
        Array.from({ length: 10 }, () => refused('forgotten')),
      );
      expect(seen.filter(({ job }) => job === 'tenant')).toEqual(
        Array.from({ length: 20 }, () => of(A, 'tenant')),
      );
    });
  });

  it('a producer is signed for once', () => {
    const [jobs, queue] = [jobsOf(), plainQueue()];
    const add = jobs.sign(queue).add;
    expect(jobs.sign(queue).add).toBe(add);
    expect(() => jobsOf().sign(queue)).toThrow(RlsConfigurationError);
  });
});

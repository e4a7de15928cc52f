import { setTimeout as sleep } from 'node:timers/promises';
import PgBoss from 'pg-boss';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import {
  NoTenantContextError,
  RlsConfigurationError,
  RlsTenantsError,
} from '../../libs/rls-tenants/src/errors.js';
import { withTenantJobs, type TenantJobsOptions } from '../../libs/rls-tenants/src/pg-boss/index.js';
import { who } from '../http/support/http-app.js';
import { A, B } from '../support/notes.js';
import { BODIES, createTwoTenants, type TwoTenants } from '../support/two-tenants.js';

const OLD = { id: 'old', secret: 'o'.repeat(32) };
const NEW = { id: 'new', secret: 'n'.repeat(32) };

interface Seen {
  data: unknown;
  who: string;
  bodies: string[];
}

type Handler = (jobs: PgBoss.Job<unknown>[]) => Promise<unknown>;

describe('pg-boss jobs', () => {
  let notes: TwoTenants;
  /** Signs nothing: what others put into the queues. */
  let plain: PgBoss;
  let boss: PgBoss;
  let queue: string;
  let queues = 0;
  const started: PgBoss[] = [];
  const workers: [PgBoss, string][] = [];
  const seen: Seen[] = [];

  beforeAll(async () => {
    notes = await createTwoTenants();
    plain = await start();
    boss = await signing();
  });
  beforeEach(async () => {
    seen.splice(0);
    queue = `queue-${(queues += 1)}`;
    await plain.createQueue(queue);
  });
  afterEach(() => Promise.all(workers.splice(0).map(([of, id]) => of.offWork({ id }))));
  afterAll(async () => {
    await Promise.all(started.map((part) => part.stop({ graceful: false })));
    await notes.db.drop();
  });

  async function start(options: Partial<PgBoss.ConstructorOptions> = {}): Promise<PgBoss> {
    const part = new PgBoss({
      connectionString: notes.db.url('migrator'),
      max: 2,
      schedule: false,
      supervise: false,
      ...options,
    });
    part.on('error', () => {});
    await part.start();
    started.push(part);
    return part;
  }

  /** An instance of its own, as in a process of its own. */
  async function signing(
    options: Partial<TenantJobsOptions> = {},
    own: Partial<PgBoss.ConstructorOptions> = {},
  ): Promise<PgBoss> {
    return withTenantJobs(await start(own), { keys: [NEW], tenantIdType: 'uuid', ...options });
  }

  async function work(of: PgBoss, handler: Handler, batchSize = 1): Promise<void> {
    workers.push([of, await of.work(queue, { batchSize, pollingIntervalSeconds: 0.5 }, handler)]);
  }

  async function look(jobs: PgBoss.Job<unknown>[]): Promise<number> {
    const before = who();
    await sleep(Math.random() * 5);
    const bodies = await notes.bodies();
    for (const { data } of jobs) {
      seen.push({ data, who: before === who() ? before : `${before}, then ${who()}`, bodies });
    }
    return jobs.length;
  }

  const of = (tenantId: string, data: unknown): Seen => ({
    data,
    who: tenantId,
    bodies: [BODIES[tenantId] as string],
  });

  interface Row {
    state: string;
    attempts: number;
    output: { message?: string; name?: string } | null;
    data: Record<string, unknown>;
  }

  const rows = () =>
    notes.db.asSuperuser<Row>(
      'SELECT state::text, retry_count AS attempts, output, data FROM pgboss.job WHERE name = $1 ORDER BY data->>$2',
      [queue, 'n'],
    );

  async function finished(): Promise<Row[]> {
    const over = ['completed', 'cancelled', 'failed'];
    for (;;) {
      const found = await rows();
      if (found.length > 0 && found.every(({ state }) => over.includes(state))) return found;
      await sleep(30);
    }
  }

  const byNumber = ({ data }: Seen) => (data as { n?: number }).n ?? 0;
  const sorted = () => [...seen].sort((a, b) => byNumber(a) - byNumber(b));

  describe('that are sent in a tenant context', () => {
    it('run in it: a batch of several tenants’ jobs, each in its own', async () => {
      await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          tenantContext(n % 2 ? A : B, () => boss.send(queue, { n: n + 10 })),
        ),
      );
      await work(await signing(), look, 20);
      await finished();
      expect(sorted()).toEqual(Array.from({ length: 20 }, (_, n) => of(n % 2 ? A : B, { n: n + 10 })));
      expect(await notes.all()).toEqual(['of A', 'of B']);
    });

    it('run in it, whatever sent them, and give their result', async () => {
      await tenantContext(A, async () => {
        await boss.send({ name: queue, data: { n: 1 }, options: { priority: 1 } });
        await boss.sendAfter(queue, { n: 2 }, {}, 1);
        await boss.sendThrottled(queue, { n: 3 }, {}, 60, 'throttled');
        await boss.insert([
          { name: queue, data: { n: 5 } },
          { name: queue, data: { n: 6 }, priority: 2 },
        ]);
      });
      await tenantContext(B, async () => {
        await boss.sendDebounced(queue, { n: 4 }, {}, 1, 'debounced');
        await boss.send(queue, { n: 7 }, { startAfter: 1 });
        // A job without data.
        await boss.send({ name: queue });
      });
      await work(boss, look);
      const over = await finished();
      expect(sorted()).toEqual([
        of(B, {}),
        of(A, { n: 1 }),
        of(A, { n: 2 }),
        of(A, { n: 3 }),
        of(B, { n: 4 }),
        of(A, { n: 5 }),
        of(A, { n: 6 }),
        of(B, { n: 7 }),
      ]);
      expect(over.map(({ state, output }) => [state, output])).toEqual(
        over.map(() => ['completed', { value: 1 }]),
      );
    });

    it('survive what jsonb does to their data', async () => {
      const data = { z: 1, n: 1e21, at: new Date(0), nothing: undefined, a: { d: [1.5, -0], b: 'é' } };
      await tenantContext(A, () => boss.send(queue, data));
      await work(boss, look);
      await finished();
      expect(seen).toEqual([
        of(A, { z: 1, n: 1e21, at: '1970-01-01T00:00:00.000Z', a: { d: [1.5, 0], b: 'é' } }),
      ]);
    });

    it('keep it through retries', async () => {
      await tenantContext(A, () => boss.send(queue, { n: 1 }, { retryLimit: 3 }));
      await work(boss, async (jobs) => {
        await look(jobs);
        if (seen.length < 3) throw new Error('again');
      });
      expect(await finished()).toMatchObject([{ state: 'completed', attempts: 2 }]);
      expect(seen).toEqual([of(A, { n: 1 }), of(A, { n: 1 }), of(A, { n: 1 })]);
    });

    it('keep it in each run of a schedule', async () => {
      const scheduling = await signing(
        {},
        { schedule: true, cronMonitorIntervalSeconds: 1, cronWorkerIntervalSeconds: 1 },
      );
      await tenantContext(A, () => scheduling.schedule(queue, '* * * * *', { n: 1 }));
      await work(boss, look);
      await finished();
      expect(seen).toEqual([of(A, { n: 1 })]);
      await scheduling.unschedule(queue);
      await scheduling.stop({ graceful: false });
    });

    it('that fail do not make the others of their batch run again, nor end as they do', async () => {
      for (const n of [1, 2, 3]) {
        await tenantContext(n === 2 ? B : A, () => boss.send(queue, { n }, { retryLimit: 1 }));
      }
      await plain.send(queue, { n: 4 }, { retryLimit: 1 });
      await work(
        boss,
        async (jobs) => {
          await look(jobs);
          if (who() === B) throw new Error('not for B');
          return { done: true };
        },
        10,
      );
      const over = await finished();
      expect(over.map(({ state, attempts }) => [state, attempts])).toEqual([
        ['completed', 0],
        ['failed', 1],
        ['completed', 0],
        ['cancelled', 0],
      ]);
      expect(over.map(({ output }) => output)).toMatchObject([
        { done: true },
        { message: 'not for B' },
        { done: true },
        { name: 'InvalidTenantTokenError' },
      ]);
      expect(seen.map(({ who }) => who).sort()).toEqual([A, A, B, B]);
    });

    it('are asked about again when they begin', async () => {
      const members = ['ann', 'bob'];
      const asked: unknown[] = [];
      const authorizing = await signing({
        authorize: (tenantId, job) => {
          asked.push([who(), tenantId]);
          return members.includes((job.data as { n: string }).n);
        },
      });
      await tenantContext(A, () => authorizing.send(queue, { n: 'ann' }));
      await tenantContext(A, () => authorizing.send(queue, { n: 'bob' }, { retryLimit: 5 }));
      members.pop();
      await work(authorizing, look, 2);
      expect(await finished()).toMatchObject([
        { state: 'completed' },
        { state: 'cancelled', output: { name: 'TenantAccessDeniedError' } },
      ]);
      expect(seen).toEqual([of(A, { n: 'ann' })]);
      expect(asked).toEqual([
        ['nobody', A],
        ['nobody', A],
      ]);
    });

    it('are tried again if authorize fails', async () => {
      const answers = [() => Promise.reject(new Error('no connection')), () => Promise.resolve(true)];
      const authorizing = await signing({ authorize: () => answers.shift()!() });
      await tenantContext(A, () => boss.send(queue, { n: 1 }, { retryLimit: 1 }));
      await work(authorizing, look);
      expect(await finished()).toMatchObject([{ state: 'completed', attempts: 1 }]);
      expect(seen).toEqual([of(A, { n: 1 })]);
    });
  });

  describe('that nobody of us signed are cancelled, and their handler does not see them', () => {
    async function expectRefused(reason: string): Promise<void> {
      await work(boss, look);
      expect(await finished()).toMatchObject([
        { state: 'cancelled', output: { message: expect.stringContaining(reason) } },
      ]);
      expect(seen).toEqual([]);
      expect(await notes.all()).toEqual(['of A', 'of B']);
    }

    const retryLimit = 5;

    /** The data of a job of tenant A, which was in a queue. */
    async function stolen(from: string, data: object): Promise<Record<string, unknown>> {
      const id = (await tenantContext(A, () => boss.send(from, data))) as string;
      const job = await boss.getJobById<Record<string, unknown>>(from, id);
      await boss.deleteJob(from, id);
      return job!.data;
    }

    it('without a token', async () => {
      await tenantContext(A, () => plain.send(queue, { tenantId: A }, { retryLimit }));
      await expectRefused('has no tenant token');
    });

    it('without data', async () => {
      await plain.insert([{ name: queue, retryLimit }]);
      await expectRefused('has no tenant token');
    });

    it('with a forged token', async () => {
      await plain.send(queue, { __tenantToken: `v1.new.${btoa(A)}.x` }, { retryLimit });
      await expectRefused('the signature of its tenant token is wrong');
    });

    it('with a token of another queue', async () => {
      await plain.createQueue('other');
      await plain.send(queue, await stolen('other', { n: 1 }), { retryLimit });
      await expectRefused('made for something else');
    });

    it('with a token lifted onto other data', async () => {
      const data = await stolen(queue, { amount: 1 });
      await plain.send(queue, { ...data, amount: 1000 }, { retryLimit });
      await expectRefused('made for other data');
    });

    it('with a token that expired', async () => {
      const expiring = await signing({ maxAgeSeconds: -60 });
      await tenantContext(A, () => expiring.send(queue, {}, { retryLimit }));
      await expectRefused('its tenant token expired');
    });

    it('with a token of a key that was removed; of one that was rotated they run', async () => {
      const before = await signing({ keys: [OLD] });
      const rotating = await signing({ keys: [NEW, OLD] });
      await tenantContext(A, () => before.send(queue, { n: 1 }));
      await work(rotating, look);
      await finished();
      expect(seen.splice(0)).toEqual([of(A, { n: 1 })]);
      await Promise.all(workers.splice(0).map(([of, id]) => of.offWork({ id })));
      await notes.db.asSuperuser('DELETE FROM pgboss.job WHERE name = $1', [queue]);
      await tenantContext(A, () => before.send(queue, { n: 2 }, { retryLimit }));
      await expectRefused('not among `keys`');
    });
  });

  describe('that are sent elsewhere', () => {
    it('in no context are refused before any I/O, whatever sends them', async () => {
      const sending = [
        () => boss.send(queue, {}),
        () => boss.send({ name: queue }),
        () => boss.sendAfter(queue, {}, {}, 1),
        () => boss.sendThrottled(queue, {}, {}, 1),
        () => boss.sendDebounced(queue, {}, {}, 1),
        () => boss.insert([{ name: queue }]),
        () => boss.schedule(queue, '* * * * *'),
        () => adminContext('test', () => boss.send(queue, {})),
      ];
      for (const send of sending) await expect(send()).rejects.toThrow(NoTenantContextError);
      expect(await rows()).toEqual([]);
      expect(await boss.getSchedules()).toEqual([]);
    });

    it('by publish are refused: it names no queue', async () => {
      await boss.subscribe('event', queue);
      await expect(tenantContext(A, () => boss.publish('event', { n: 1 }))).rejects.toThrow(RlsTenantsError);
      expect(await rows()).toEqual([]);
    });

    it('by nobody, and as admin with its reason, run where both sides allow it', async () => {
      const lenient = await signing({ allowNobody: true, allowAdmin: true });
      await lenient.send(queue, { n: 1 });
      await adminContext('monthly report', () => lenient.send(queue, { n: 2 }));
      const handler: Handler = async ([job]) => {
        const bodies = await notes.bodies().catch((error: Error) => [error.name]);
        seen.push({ data: job!.data, who: who(), bodies });
      };
      await work(lenient, handler, 2);
      await finished();
      expect(sorted()).toEqual([
        { data: { n: 1 }, who: 'nobody', bodies: ['NoTenantContextError'] },
        { data: { n: 2 }, who: 'admin: monthly report', bodies: ['of A', 'of B'] },
      ]);
    });

    it('to an excepted queue are left as they are, and are worked on for nobody', async () => {
      const excepting = await signing({ except: [queue] });
      await excepting.send(queue, { n: 1 });
      await excepting.insert([{ name: queue, data: { n: 2 } }]);
      const batches: unknown[] = [];
      await tenantContext(A, () =>
        work(excepting, async (jobs) => void batches.push([who(), jobs.map(({ data }) => data)]), 2),
      );
      await finished();
      expect(batches).toEqual([['nobody', expect.arrayContaining([{ n: 1 }, { n: 2 }])]]);
    });
  });

  it('a worker that a tenant’s request started serves each job in its own context', async () => {
    await tenantContext(B, () => work(boss, look));
    await tenantContext(A, () => boss.send(queue, { n: 1 }));
    await finished();
    await tenantContext(B, () => boss.send(queue, { n: 2 }));
    await finished();
    expect(seen).toEqual([of(A, { n: 1 }), of(B, { n: 2 })]);
  });

  it('an instance is wrapped once', () => {
    expect(() => withTenantJobs(boss, { keys: [NEW], tenantIdType: 'uuid' })).toThrow(RlsConfigurationError);
  });
});

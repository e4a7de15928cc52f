import { Queue, type Job } from 'bullmq';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import {
  Backfill,
  BullMqBackfillDispatcher,
  workBullMqBackfills,
  type BackfillDefinition,
  type BackfillWorker,
} from '../../libs/rls-tenants/src/backfill/index.js';
import {
  adminContext,
  currentTenantContext,
  tenantContext,
} from '../../libs/rls-tenants/src/context/tenant-context.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import { hasRedis, startRedis, type RedisServer } from '../support/redis.js';
import { backfillOf, createArticleDatabase, fillArticles, hits, tenant } from './support/articles.js';
import { SLOW, TENANT_IDS, TOTAL, WorkerProcesses } from './support/processes.js';

const describeOnRedis = hasRedis() || process.env.CI ? describe : describe.skip;

describeOnRedis('on BullMQ', () => {
  let db: ProtectedDatabase;
  let redis: RedisServer;
  let queue: Queue;
  let dispatcher: BullMqBackfillDispatcher;
  let processes: WorkerProcesses;
  const workers: BackfillWorker[] = [];

  beforeAll(async () => {
    redis = await startRedis();
    db = await createArticleDatabase();
    queue = new Queue('rls-backfill', { connection: { host: '127.0.0.1', port: redis.port } });
    dispatcher = new BullMqBackfillDispatcher(queue);
    processes = new WorkerProcesses(db, redis.port);
  });
  beforeEach(() => fillArticles(db, 10, 200));
  afterEach(async () => {
    processes.killAll();
    await Promise.all(workers.splice(0).map((worker) => worker.close()));
    await queue.obliterate({ force: true });
  });
  afterAll(async () => {
    await queue.close();
    await db.drop();
    await redis.stop();
  });

  const unfinished = () => queue.getJobCountByTypes('waiting', 'active', 'delayed');
  const finished = async () => {
    while ((await unfinished()) > 0) await sleep(50);
  };

  async function work(definition: BackfillDefinition): Promise<BackfillWorker> {
    const worker = await workBullMqBackfills(queue, await backfillOf(db, [definition]));
    workers.push(worker);
    return worker;
  }

  it('two processes share the tenants, one is killed in the middle, and each row is changed once', async () => {
    await dispatcher.dispatch('slow', TENANT_IDS);
    const [killed, other] = [processes.start('bullmq'), processes.start('bullmq')];
    await processes.until(20);
    while ((await processes.changers()).length < 2) await sleep(10);
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    expect(await processes.changed()).toBeLessThan(100);
    await finished();
    expect(await hits(db)).toEqual({ 1: TOTAL });
    expect(await processes.changers()).toEqual([killed, other].map(({ pid }) => `worker ${pid}`).sort());
    expect(await queue.getFailedCount()).toBe(0);
  });

  it('a tenant waits once, however often it is dispatched, and again after its job is through', async () => {
    await dispatcher.dispatch('slow', TENANT_IDS);
    await dispatcher.dispatch('slow', TENANT_IDS);
    expect(await queue.getWaitingCount()).toBe(TENANT_IDS.length);
    await work(SLOW);
    await processes.until(5);
    await dispatcher.dispatch('slow', TENANT_IDS.slice(-1));
    expect(await unfinished()).toBeLessThanOrEqual(TENANT_IDS.length);
    await finished();
    await dispatcher.dispatch('slow', [tenant(1)]);
    expect(await unfinished()).toBe(1);
    await finished();
    expect(await hits(db)).toEqual({ 1: TOTAL });
  });

  it('a worker that is closed ends with its batch, and the tenant goes on in another', async () => {
    await dispatcher.dispatch('slow', [tenant(1)]);
    const first = await work({ ...SLOW, pauseMs: 100 });
    await processes.until(2);
    await first.close();
    expect((await hits(db))[1]).toBeLessThan(200);
    const [job] = (await queue.getJobs(['delayed', 'waiting'])) as Job[];
    expect(job).toMatchObject({ attemptsMade: 0, data: { name: 'slow', tenantId: tenant(1) } });
    await work(SLOW);
    await finished();
    expect(await hits(db)).toEqual({ 0: TOTAL - 200, 1: 200 });
  });

  it('a job sees and changes rows of its own tenant only, and the next job nothing of it', async () => {
    const other: Record<string, string> = { [tenant(1)]: tenant(2), [tenant(2)]: tenant(1) };
    const seen: { reached: number; tenants: string[]; context: unknown }[] = [];
    const reaching: BackfillDefinition = {
      name: 'reaching',
      table: 'article',
      where: 'id <= 2',
      tenants: () => {
        seen.push({ reached: 0, tenants: [], context: currentTenantContext() });
        return Object.keys(other);
      },
      each: async (row, manager) => {
        const reach = 'UPDATE article SET hits = hits + 100 WHERE tenant_id = $1';
        const [, reached] = await manager.query<[unknown, number]>(reach, [
          other[row['tenant_id'] as string],
        ]);
        const rows = await manager.query<{ id: string }[]>('SELECT DISTINCT tenant_id AS id FROM article');
        seen.push({ reached, tenants: rows.map(({ id }) => id), context: currentTenantContext() });
      },
    };
    const logging: unknown[] = [];
    const logger = {
      log: () => void logging.push(currentTenantContext()),
      warn: () => void logging.push('warned'),
    };
    const oneConnection = await db.isolated({}, { poolSize: 1 });
    await dispatcher.dispatch('reaching', [tenant(1), tenant(2)]);
    // Whoever starts the worker lends it nothing.
    await tenantContext(tenant(3), async () => {
      const backfill = new Backfill(oneConnection, [reaching], { logger });
      workers.push(await workBullMqBackfills(queue, backfill));
    });
    await finished();
    expect(logging).toEqual(Array(4).fill({ kind: 'nobody' }));
    const nobody = { reached: 0, tenants: [], context: { kind: 'nobody' } };
    const alone = (tenantId: string) => ({
      reached: 0,
      tenants: [tenantId],
      context: { kind: 'tenant', tenantId },
    });
    expect(seen).toEqual([nobody, alone(tenant(1)), nobody, alone(tenant(2))]);
    expect(await hits(db)).toEqual({ 0: TOTAL });
    await expectReachable(oneConnection);
  });

  /** The control: the statement changes what row-level security lets it. */
  async function expectReachable(dataSource: DataSource): Promise<void> {
    await adminContext('control', () =>
      dataSource.query('UPDATE article SET hits = hits + 100 WHERE tenant_id = $1', [tenant(2)]),
    );
    expect(await hits(db)).toEqual({ 0: TOTAL - 200, 100: 200 });
  }

  it.each([
    ['a tenant id of another type', { name: 'slow', tenantId: "x' OR true" }, 'Invalid tenant id'],
    ['a tenant that is none of the backfill', { name: 'slow', tenantId: tenant(99) }, 'has no rows in table'],
    ['no tenant', { name: 'slow' }, 'names no backfill or no tenant'],
    ['null for a tenant', { name: 'slow', tenantId: null }, 'names no backfill or no tenant'],
    ['nothing', {}, 'names no backfill or no tenant'],
  ])('a job that names %s fails at once and changes nothing', async (_, data, message) => {
    await queue.add('forged', data, { attempts: 5 });
    await work(SLOW);
    await finished();
    const [job] = (await queue.getFailed()) as Job[];
    expect(job).toMatchObject({ attemptsMade: 1, failedReason: expect.stringContaining(message) });
    expect(await hits(db)).toEqual({ 0: TOTAL });
  });

  it('a job for a backfill that this worker does not know waits for one that does', async () => {
    await dispatcher.dispatch('slow', [tenant(1)]);
    const old = await work({ ...SLOW, name: 'older' });
    while ((await queue.getDelayedCount()) === 0) await sleep(20);
    const [job] = (await queue.getDelayed()) as Job[];
    expect(job?.failedReason).toContain('There is no backfill "slow"');
    await old.close();
    await work(SLOW);
    await finished();
    expect(await hits(db)).toEqual({ 0: TOTAL - 200, 1: 200 });
  });

  it('a tenant whose job failed for good can be dispatched again', async () => {
    const tenants: string[] = [];
    await dispatcher.dispatch('slow', [tenant(1)]);
    await work({ ...SLOW, tenants: () => tenants });
    await finished();
    expect(((await queue.getFailed()) as Job[])[0]?.failedReason).toContain('is not among the tenants');
    tenants.push(tenant(1));
    await dispatcher.dispatch('slow', [tenant(1)]);
    await finished();
    expect(await hits(db)).toEqual({ 0: TOTAL - 200, 1: 200 });
  });

  it('what is no tenant id is refused before anything is dispatched', async () => {
    await expect(dispatcher.dispatch('slow', [tenant(1), ''])).rejects.toThrow('Invalid tenant id');
    expect(await unfinished()).toBe(0);
  });
});

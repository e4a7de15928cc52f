import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import PgBoss from 'pg-boss';
import { PgBossBackfillDispatcher, workPgBossBackfills } from '../../libs/rls-tenants/src/backfill/index.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import { backfillOf, createArticleDatabase, fillArticles, hits, tenant } from './support/articles.js';
import { SLOW, TENANT_IDS, TOTAL, WorkerProcesses } from './support/processes.js';

let db: ProtectedDatabase;
let processes: WorkerProcesses;

beforeAll(async () => {
  db = await createArticleDatabase();
  processes = new WorkerProcesses(db);
});
afterEach(() => processes.killAll());
afterAll(() => db.drop());

it('a backfill that is killed again and again changes each row once', async () => {
  await fillArticles(db, 10, 200);
  for (const percent of [10, 35, 70]) {
    const child = processes.start('run');
    await processes.until(percent);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await processes.changed()).toBeLessThan(100);
  }
  const child = processes.start('run');
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(await hits(db)).toEqual({ 1: TOTAL });
  expect(await processes.changers()).toHaveLength(4);
});

describe('on pg-boss', () => {
  let boss: PgBoss;

  beforeAll(async () => {
    boss = new PgBoss({
      connectionString: db.url('migrator'),
      max: 2,
      schedule: false,
      maintenanceIntervalSeconds: 1,
    });
    boss.on('error', () => {});
    await boss.start();
  });
  afterAll(() => boss.stop({ graceful: false }));
  beforeEach(() => fillArticles(db, 10, 200));

  const waiting = () =>
    db.asSuperuser<{ state: string; key: string }>(
      `SELECT state, singleton_key AS key FROM pgboss.job WHERE name = 'rls-backfill' AND state < 'completed'`,
    );
  const finished = async () => {
    while ((await waiting()).length > 0) await sleep(50);
  };

  it('two processes share the tenants and change each row once', async () => {
    const dispatcher = new PgBossBackfillDispatcher(boss);
    await dispatcher.dispatch('slow', TENANT_IDS);
    const workers = [processes.start('pg-boss'), processes.start('pg-boss')];
    await processes.until(20);
    await dispatcher.dispatch('slow', TENANT_IDS);
    await finished();
    expect(await hits(db)).toEqual({ 1: TOTAL });
    expect(await processes.changers()).toEqual(workers.map(({ pid }) => `worker ${pid}`).sort());
  });

  it('a tenant waits once, however often it is dispatched', async () => {
    const dispatcher = new PgBossBackfillDispatcher(boss);
    await dispatcher.dispatch('slow', TENANT_IDS);
    await dispatcher.dispatch('slow', TENANT_IDS);
    expect(await waiting()).toHaveLength(TENANT_IDS.length);
    const backfill = await backfillOf(db, [SLOW]);
    const worker = await workPgBossBackfills(boss, backfill, { pollingIntervalSeconds: 0.5 });
    await finished();
    await worker.close();
    expect(await hits(db)).toEqual({ 1: TOTAL });
  });

  it("another worker takes over a killed worker's tenants, and a tenant may outlast its job", async () => {
    const dispatcher = new PgBossBackfillDispatcher(boss, { takeOverSeconds: 1 });
    const slower = { ...SLOW, pauseMs: 120 };
    await dispatcher.dispatch('slow', TENANT_IDS.slice(0, 2));
    const first = processes.start('pg-boss', slower);
    await processes.until(2);
    first.kill('SIGKILL');
    await once(first, 'exit');
    processes.start('pg-boss', slower);
    await finished();
    expect(await hits(db)).toEqual({ 0: TOTAL - 400, 1: 400 });
    expect(await processes.changers()).toHaveLength(2);
  });

  it.each([
    [
      'a backfill that the worker does not know',
      { name: 'other', tenantId: tenant(1) },
      'There is no backfill "other"',
    ],
    ['a tenant id of another type', { name: 'slow', tenantId: "x' OR true" }, 'Invalid tenant id'],
    ['a tenant that is none of the backfill', { name: 'slow', tenantId: tenant(99) }, 'has no rows in table'],
    ['nothing', {}, 'names no backfill or no tenant'],
  ])('a job that names %s fails and changes nothing', async (_, data, message) => {
    const queue = 'forged';
    await boss.createQueue(queue);
    const jobId = await boss.send(queue, data, { retryLimit: 0 });
    const worker = await workPgBossBackfills(boss, await backfillOf(db, [SLOW]), {
      queue,
      pollingIntervalSeconds: 0.5,
    });
    let job = await boss.getJobById(queue, jobId!);
    while (job?.state !== 'failed') {
      await sleep(50);
      job = await boss.getJobById(queue, jobId!);
    }
    await worker.close();
    expect(JSON.stringify(job.output)).toContain(JSON.stringify(message).slice(1, -1));
    expect(await hits(db)).toEqual({ 0: TOTAL });
  });

  it('a worker that is closed ends with its batch, and the tenant goes on in a later job', async () => {
    const slower = { ...SLOW, pauseMs: 100 };
    await new PgBossBackfillDispatcher(boss).dispatch('slow', [tenant(1)]);
    const first = await workPgBossBackfills(boss, await backfillOf(db, [slower]), {
      pollingIntervalSeconds: 0.5,
    });
    await processes.until(2);
    await first.close();
    const { 1: before } = await hits(db);
    expect(before).toBeLessThan(200);
    const second = await workPgBossBackfills(boss, await backfillOf(db, [SLOW]), {
      pollingIntervalSeconds: 0.5,
    });
    await finished();
    await second.close();
    expect(await hits(db)).toEqual({ 0: TOTAL - 200, 1: 200 });
  });
});

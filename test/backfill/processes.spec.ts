import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import PgBoss from 'pg-boss';
import {
  PgBossBackfillDispatcher,
  workBackfills,
  type BackfillDefinition,
} from '../../libs/rls-tenants/src/backfill/index.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import { backfillOf, createArticleDatabase, fillArticles, hits, tenant } from './support/articles.js';

const WORKER = resolve(__dirname, 'support/worker.mjs');
const SLOW: BackfillDefinition = {
  name: 'slow',
  table: 'article',
  set: { hits: 'hits + 1', slug: '$1::text' },
  parameters: ['here'],
  batchSize: 20,
  pauseMs: 10,
};

let db: ProtectedDatabase;
const children: ChildProcess[] = [];

beforeAll(async () => {
  db = await createArticleDatabase();
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => db.drop());

function start(mode: 'run' | 'pg-boss', definition = SLOW): ChildProcess {
  const env = {
    ...process.env,
    APP_URL: db.url('app'),
    BOSS_URL: db.url('migrator'),
    ADMIN_ROLE: db.roles.admin,
    DEFINITION: JSON.stringify(definition),
  };
  const child = spawn(process.execPath, ['--no-warnings', WORKER, mode], { env, stdio: 'inherit' });
  children.push(child);
  return child;
}

const changed = async () => 100 - (((await hits(db))[0] ?? 0) / TOTAL) * 100;
const TOTAL = 10 * 200;

/** Waits until that part of the rows, in percent, is changed, as long as somebody is there to change them. */
async function until(percent: number): Promise<void> {
  while ((await changed()) < percent) {
    const ended = children.find(({ exitCode }) => exitCode !== null);
    if (ended)
      throw new Error(`A process ended with ${ended.exitCode} and ${await changed()} % of the rows changed.`);
    await sleep(10);
  }
}

/** Who changed rows, as superuser. */
const workers = () =>
  db.asSuperuser<{ slug: string }>('SELECT DISTINCT slug FROM article WHERE slug IS NOT NULL');

it('a backfill that is killed again and again changes each row once', async () => {
  await fillArticles(db, 10, 200);
  for (const percent of [10, 35, 70]) {
    const child = start('run');
    await until(percent);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await changed()).toBeLessThan(100);
  }
  const child = start('run');
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(await hits(db)).toEqual({ 1: TOTAL });
  expect(await workers()).toHaveLength(4);
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

  const tenants = Array.from({ length: 10 }, (_, n) => tenant(n + 1));
  const waiting = () =>
    db.asSuperuser<{ state: string; key: string }>(
      `SELECT state, singleton_key AS key FROM pgboss.job WHERE name = 'rls-backfill' AND state < 'completed'`,
    );
  const finished = async () => {
    while ((await waiting()).length > 0) await sleep(50);
  };

  it('two processes share the tenants and change each row once', async () => {
    const dispatcher = new PgBossBackfillDispatcher(boss);
    await dispatcher.dispatch('slow', tenants);
    const processes = [start('pg-boss'), start('pg-boss')];
    await until(20);
    await dispatcher.dispatch('slow', tenants);
    await finished();
    expect(await hits(db)).toEqual({ 1: TOTAL });
    expect((await workers()).map(({ slug }) => slug).sort()).toEqual(
      processes.map(({ pid }) => `worker ${pid}`).sort(),
    );
  });

  it('a tenant waits once, however often it is dispatched', async () => {
    const dispatcher = new PgBossBackfillDispatcher(boss);
    await dispatcher.dispatch('slow', tenants);
    await dispatcher.dispatch('slow', tenants);
    expect(await waiting()).toHaveLength(tenants.length);
    const backfill = await backfillOf(db, [SLOW]);
    const id = await workBackfills(boss, backfill, { pollingIntervalSeconds: 0.5 });
    await finished();
    await boss.offWork({ id });
    expect(await hits(db)).toEqual({ 1: TOTAL });
  });

  it("another worker takes over a killed worker's tenants, and a tenant may outlast its job", async () => {
    const dispatcher = new PgBossBackfillDispatcher(boss, { expireInSeconds: 1 });
    const slower = { ...SLOW, pauseMs: 120 };
    await dispatcher.dispatch('slow', tenants.slice(0, 2));
    const first = start('pg-boss', slower);
    await until(2);
    first.kill('SIGKILL');
    await once(first, 'exit');
    start('pg-boss', slower);
    await finished();
    expect(await hits(db)).toEqual({ 0: TOTAL - 400, 1: 400 });
    expect(await workers()).toHaveLength(2);
  });

  it.each([
    [
      'a backfill that the worker does not know',
      { name: 'other', tenantId: tenant(1) },
      'There is no backfill "other"',
    ],
    ['a tenant id of another type', { name: 'slow', tenantId: "x' OR true" }, 'Invalid tenant id'],
    ['nothing', {}, 'names no backfill or no tenant'],
  ])('a job that names %s fails and changes nothing', async (_, data, message) => {
    const queue = 'forged';
    await boss.createQueue(queue);
    const jobId = await boss.send(queue, data, { retryLimit: 0 });
    const workerId = await workBackfills(boss, await backfillOf(db, [SLOW]), {
      queue,
      pollingIntervalSeconds: 0.5,
    });
    let job = await boss.getJobById(queue, jobId!);
    while (job?.state !== 'failed') {
      await sleep(50);
      job = await boss.getJobById(queue, jobId!);
    }
    await boss.offWork({ id: workerId });
    expect(JSON.stringify(job.output)).toContain(JSON.stringify(message).slice(1, -1));
    expect(await hits(db)).toEqual({ 0: TOTAL });
  });
});

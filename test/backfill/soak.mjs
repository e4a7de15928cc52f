// Proof at size, with the built library: node test/backfill/soak.mjs [rows] [tenants] [workers] [pg-boss | crash]
// On TEST_DATABASE_URL (a superuser's), or on embedded PostgreSQL with its default settings: durable. Prints JSON: rows
// per second, how memory grew, the longest transaction (the longest time a row was locked), and the longest that a writer
// beside it waited. It fails unless each row changed once. With `pg-boss` there are that many worker processes instead, of
// which one is killed halfway, and another started. With `crash` the server crashes halfway, and recovers.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  Backfill,
  backfillProgressTable,
  isolateDataSource,
  PgBossBackfillDispatcher,
  tenantContext,
} from 'nestjs-rls-tenants';
import { protectTable } from 'nestjs-rls-tenants/migrations';
import { startEmbeddedPostgres } from 'nestjs-rls-tenants/testing';
import PgBoss from 'pg-boss';
import { DataSource } from 'typeorm';

const [rows = 1_000_000, tenants = 1000, workers = 2] = process.argv.slice(2, 5).map(Number);
const mode = process.argv[5];
const embedded = process.env.TEST_DATABASE_URL ? undefined : await startEmbeddedPostgres();
const server = new URL(embedded?.url ?? process.env.TEST_DATABASE_URL);
const suffix = randomUUID().slice(0, 8);
const [database, app, admin] = [`soak_${suffix}`, `soak_app_${suffix}`, `soak_admin_${suffix}`];

const urlOf = (name, login) => {
  const url = Object.assign(new URL(server), { pathname: `/${name}` });
  if (login) Object.assign(url, { username: login, password: 'soak' });
  return url.toString();
};
const open = (name, login, options) =>
  new DataSource({
    type: 'postgres',
    url: urlOf(name, login),
    poolSize: workers + 1,
    extra: { options },
  }).initialize();
const openIsolated = async (options) =>
  isolateDataSource(await open(database, app, options), { tenantIdType: 'uuid', adminRole: admin });

const maintenance = await open(server.pathname.slice(1));
await maintenance.query(`CREATE DATABASE ${database}`);
const owner = await open(database);
try {
  await prepare();
  console.log(JSON.stringify(await soak(), undefined, 2));
} finally {
  await owner.destroy();
  await maintenance.query(`DROP DATABASE ${database} WITH (FORCE)`);
  await maintenance.query(`DROP ROLE IF EXISTS ${app}, ${admin}`);
  await maintenance.destroy();
  await embedded?.stop();
}

/** Keys interleave between tenants, as they do in a table that all tenants write to. */
async function prepare() {
  const [{ version }] = await owner.query(`SELECT current_setting('server_version_num')::int AS version`);
  const member = version >= 160000 ? 'WITH INHERIT FALSE, SET TRUE' : '';
  await owner.query(`CREATE ROLE ${admin} NOLOGIN; CREATE ROLE ${app} LOGIN PASSWORD 'soak' NOINHERIT;
    GRANT ${admin} TO ${app} ${member}; GRANT USAGE ON SCHEMA public TO ${app}, ${admin};
    CREATE TABLE article (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, title text NOT NULL, slug text,
      hits int NOT NULL DEFAULT 0, UNIQUE (tenant_id, id))`);
  await owner.query(`INSERT INTO article (id, tenant_id, title)
    SELECT n, ('00000000-0000-4000-8000-' || lpad((n % ${tenants})::text, 12, '0'))::uuid, 'Title ' || n
    FROM generate_series(1, ${rows}) AS n`);
  await owner.query('VACUUM ANALYZE article');
  const queryRunner = owner.createQueryRunner();
  const settings = { tenantIdType: 'uuid', appRole: app, adminRole: admin };
  await protectTable({ ...settings, table: 'article' }).up(queryRunner);
  await backfillProgressTable(settings).up(queryRunner);
  await queryRunner.release();
}

async function soak() {
  const dataSource = await openIsolated();
  // Its own commits wait for no disk: what it waits for are locks.
  const writer = await openIsolated('-c synchronous_commit=off');
  const start = performance.now();
  const traffic = mode === 'crash' ? undefined : write(writer);
  const result = await (mode === 'pg-boss' ? inProcesses() : inProcess(dataSource));
  const seconds = (performance.now() - start) / 1000;
  const longestWriteMs = await traffic?.stop();
  await writer.destroy();
  await dataSource.destroy();
  const [{ once }] = await owner.query('SELECT count(*)::int AS once FROM article WHERE hits = 1');
  if (once !== rows) throw new Error(`${once} of ${rows} rows were changed exactly once.`);
  return { ...result, longestWriteMs, changedOnce: once, rowsPerSecond: Math.round(rows / seconds) };
}

async function inProcess(dataSource) {
  const definition = {
    name: 'soak',
    table: 'article',
    set: { slug: `lower(replace(title, ' ', '-'))`, hits: 'hits + 1' },
    // Time to be crashed in.
    pauseMs: mode === 'crash' ? 10 : 0,
  };
  const megabytes = () => Math.round(process.memoryUsage().rss / 2 ** 20);
  const memory = [];
  const sampling = setInterval(() => memory.push(megabytes()), 100);
  const backfill = new Backfill(dataSource, [definition], { logger: { log() {}, warn: console.error } });
  if (mode === 'crash') await runIntoCrash(backfill);
  const totals = await backfill.run('soak', { workers });
  clearInterval(sampling);
  return {
    ...totals,
    rssMegabytes: { early: memory[Math.floor(memory.length / 5)], peak: Math.max(...memory) },
  };
}

/** A backend that is killed takes the server's shared memory with it, and so what was committed but not written yet. */
async function runIntoCrash(backfill) {
  const run = backfill.run('soak', { workers }).then(
    () => false,
    () => true,
  );
  await untilHalf();
  const [{ pid }] = await owner.query('SELECT pg_backend_pid() AS pid');
  process.kill(pid, 'SIGKILL');
  if (!(await run)) throw new Error('The backfill was finished before the server crashed.');
  while (
    await owner.query('SELECT 1').then(
      () => false,
      () => true,
    )
  ) {
    await sleep(100);
  }
}

async function untilHalf() {
  const done = 'SELECT coalesce(sum(rows_done), 0)::int AS rows FROM rls_backfill_progress';
  while ((await owner.query(done))[0].rows < rows / 2) await sleep(20);
}

/** One worker process is killed once half of the rows are changed, and another one takes its place. */
async function inProcesses() {
  const boss = new PgBoss({
    connectionString: urlOf(database),
    max: 2,
    schedule: false,
    maintenanceIntervalSeconds: 1,
  });
  boss.on('error', (error) => console.error(error.message));
  await boss.start();
  const ids = await owner.query('SELECT DISTINCT tenant_id::text AS id FROM article');
  const dispatcher = new PgBossBackfillDispatcher(boss, { takeOverSeconds: 5 });
  await dispatcher.dispatch(
    'soak',
    ids.map(({ id }) => id),
  );
  const processes = Array.from({ length: workers }, startWorker);
  await untilHalf();
  processes[0].kill('SIGKILL');
  processes.push(startWorker());
  const left = `SELECT count(*)::int AS jobs FROM pgboss.job WHERE name = 'rls-backfill' AND state < 'completed'`;
  while ((await owner.query(left))[0].jobs > 0) await sleep(100);
  for (const child of processes) child.kill('SIGKILL');
  await boss.stop({ graceful: false });
  const changers = await owner.query('SELECT slug AS process, count(*)::int AS rows FROM article GROUP BY 1');
  return { changers };
}

function startWorker() {
  const env = {
    ...process.env,
    APP_URL: urlOf(database, app),
    BOSS_URL: urlOf(database),
    ADMIN_ROLE: admin,
    DEFINITION: JSON.stringify({
      name: 'soak',
      table: 'article',
      set: { hits: 'hits + 1', slug: '$1::text' },
    }),
  };
  const script = fileURLToPath(new URL('support/worker.mjs', import.meta.url));
  return spawn(process.execPath, ['--no-warnings', script, 'pg-boss'], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** Updates rows of any tenant, one after the other, as the application would meanwhile. */
function write(dataSource) {
  const stop = new AbortController();
  const longest = (async () => {
    let milliseconds = 0;
    while (!stop.signal.aborted) {
      const id = 1 + Math.floor(Math.random() * rows);
      const tenantId = `00000000-0000-4000-8000-${String(id % tenants).padStart(12, '0')}`;
      const start = performance.now();
      await tenantContext(tenantId, () =>
        dataSource.query('UPDATE article SET title = title WHERE id = $1', [id]),
      );
      milliseconds = Math.max(milliseconds, performance.now() - start);
    }
    return milliseconds;
  })();
  return { stop: () => (stop.abort(), longest) };
}

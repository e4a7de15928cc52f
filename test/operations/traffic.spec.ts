import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { alterTenantPolicy, protectTable } from '../../libs/rls-tenants/src/migrations/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { operationCases, schemaSql } from './support/cases.js';
import { inKilledProcess, type Trial } from './support/processes.js';
import { A, setTenant } from './support/suite.js';
import { underTraffic, type Traffic } from './support/traffic.js';

/** How long an operation may wait for a lock here, and with it whoever queues behind it. Milliseconds. */
const LOCK_TIMEOUT = 250;
/** How much longer a statement may take on a machine that runs all the suites: far less than {@link REPORT} goes on. */
const MARGIN = 3_000;
/** How long a transaction stays open that has read every table, so that each strong lock must be waited for. */
const REPORT = 6_000;
/** Between two statements of a reader or writer, of which there are many at once here. */
const PAUSE = 20;

const NAMES = operationCases({ roles: { app: '', migrator: '', admin: '' } } as TestDatabase).map(
  ({ name }) => name,
);

async function trialOf(index: number): Promise<Trial> {
  const db = await createTestDatabase();
  await db.as('migrator', schemaSql(db));
  return { ...operationCases(db)[index]!, db };
}

/** A transaction of the app role that has read every table it may read, until it is ended. */
async function openReport({ db }: Trial): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: db.url('app') });
  await client.connect();
  await client.query(
    `BEGIN; ${setTenant(A)} SELECT FROM project, task, tag, project_tag, plain, event LIMIT 1`,
  );
  return client;
}

describe('while a long report keeps every table locked against ALTER TABLE, readers and writers beside', () => {
  let trials: Trial[];
  let seen: Record<'up' | 'down', Traffic[]>;

  /** Every operation in a process of its own database at once, with traffic on each, and a report at the beginning. */
  const migrate = async (way: 'up' | 'down'): Promise<Traffic[]> => {
    const reports = await Promise.all(trials.map(openReport));
    const ended = pause(REPORT).then(() => Promise.all(reports.map((client) => client.end())));
    const work = inKilledProcess(
      trials.map((trial) => ({ trial, finish: way, lockTimeoutMs: LOCK_TIMEOUT })),
    );
    const traffic = trials.map(({ db, read, write }) =>
      underTraffic(db.url('app'), { read, write, pause: PAUSE }, () => work),
    );
    return (await Promise.all([Promise.all(traffic), ended]))[0];
  };

  beforeAll(async () => {
    trials = await Promise.all(NAMES.map((_, index) => trialOf(index)));
    await inKilledProcess(trials.map((trial) => ({ trial, prepare: true })));
    seen = { up: await migrate('up'), down: await migrate('down') };
  }, 120_000);
  afterAll(() => Promise.all(trials.map(({ db }) => db.drop())));

  it.each(NAMES)('%s never fail, and never wait longer than its lock_timeout, up and down', (name) => {
    for (const way of ['up', 'down'] as const) {
      const traffic = seen[way][NAMES.indexOf(name)]!;
      expect(traffic.reads).toBeGreaterThan(20);
      expect(traffic.writes).toBeGreaterThan(20);
      expect(traffic.longestRead).toBeLessThan(LOCK_TIMEOUT + MARGIN);
      expect(traffic.longestWrite).toBeLessThan(LOCK_TIMEOUT + MARGIN);
    }
  });
});

it('a control: behind an ALTER TABLE that waits without lock_timeout everybody waits as long as the report goes on', async () => {
  const trial = await trialOf(0);
  const report = await openReport(trial);
  const { longestRead, longestWrite } = await underTraffic(trial.db.url('app'), trial, async () => {
    const altered = trial.db.as('migrator', 'ALTER TABLE task ADD COLUMN late int');
    await pause(LOCK_TIMEOUT + MARGIN + 250);
    await report.end();
    await altered;
  });
  await trial.db.drop();
  expect(Math.min(longestRead, longestWrite)).toBeGreaterThan(LOCK_TIMEOUT + MARGIN);
});

describe('while alterTenantPolicy changes a policy in place', () => {
  const READ = `${setTenant(A)} SELECT set_config('acme.tenant', '${A}', true);
    SELECT count(*)::int AS own, count(*) FILTER (WHERE tenant_id <> '${A}')::int AS foreign FROM task`;
  const POLICIES = `SELECT count(*)::int AS policies, bool_and(relrowsecurity AND relforcerowsecurity) AS forced
    FROM pg_class LEFT JOIN pg_policy ON polrelid = pg_class.oid WHERE relname = 'task'`;
  let db: TestDatabase;
  let migrator: DataSource;

  beforeEach(async () => {
    ({ db } = await trialOf(0));
    migrator = await new DataSource({ type: 'postgres', url: db.url('migrator') }).initialize();
    const roles = { tenantIdType: 'uuid', adminRole: db.roles.admin, appRole: db.roles.app } as const;
    await protectTable({ table: 'task', ...roles }).up(migrator.createQueryRunner());
  });
  afterEach(async () => {
    await migrator.destroy();
    await db.drop();
  });

  /** Everything that was ever seen, once, by a tight loop over `sql`. */
  const watch = async (url: string, sql: string, work: () => Promise<void>): Promise<unknown[]> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const stop = new AbortController();
    const different = new Map<string, unknown>();
    const loop = (async () => {
      while (!stop.signal.aborted) {
        const result = (await client.query(sql)) as pg.QueryResult | pg.QueryResult[];
        const [row] = (Array.isArray(result) ? result.at(-1)! : result).rows;
        different.set(JSON.stringify(row), row);
      }
    })();
    await work();
    stop.abort();
    await loop;
    await client.end();
    return [...different.values()];
  };

  it('the table is never without it, and a tenant never sees more or less than its rows', async () => {
    const change = alterTenantPolicy({
      table: 'task',
      tenantIdType: 'uuid',
      from: 'rls.current_tenant',
      to: 'acme.tenant',
    });
    const queryRunner = migrator.createQueryRunner();
    const changes = async () => {
      for (let round = 0; round < 100; round += 1) {
        await change.up(queryRunner);
        await change.down(queryRunner);
      }
    };
    let policies: unknown[] = [];
    const rows = await watch(db.url('app'), READ, async () => {
      policies = await watch(db.url(), POLICIES, changes);
    });
    expect(rows).toEqual([{ own: 200, foreign: 0 }]);
    expect(policies).toEqual([{ policies: 2, forced: true }]);
    expect(await db.asSuperuser('SELECT FROM task')).toHaveLength(400);
  });

  it('a control: dropped and created again in two statements, it is seen to be absent', async () => {
    const queryRunner = migrator.createQueryRunner();
    const drops = async () => {
      for (let round = 0; round < 100; round += 1) {
        await queryRunner.query('DROP POLICY task_tenant_isolation_policy ON task');
        await queryRunner.query('CREATE POLICY task_tenant_isolation_policy ON task USING (false)');
      }
    };
    expect(await watch(db.url(), POLICIES, drops)).toContainEqual({ policies: 1, forced: true });
  });
});

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { MigrateCommand } from '../../libs/rls-tenants/src/cli/migrate.command.js';
import { migrate as migrateFunction, type MigrateOptions } from '../../libs/rls-tenants/src/cli/migrate.js';
import { protectTableSql } from '../../libs/rls-tenants/src/policies/index.js';
import { hasPgBouncer, startPgBouncer } from '../support/pgbouncer.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { until } from './runner-support.js';

// The built bin, as `npm test` builds it: what users run.
const BIN = resolve('libs/rls-tenants/dist/cli/main.js');

let db: TestDatabase;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'migrate-'));
});
afterAll(() => rm(directory, { recursive: true }));
beforeEach(async () => {
  db = await createTestDatabase();
  await db.as('migrator', 'CREATE TABLE counter (n int NOT NULL)');
});
afterEach(() => db.drop());

interface Started {
  process: ChildProcess;
  outcome: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

/** Starts `rls-tenants migrate` as a process of its own. */
function start(...args: string[]): Started {
  const child = spawn(process.execPath, [BIN, 'migrate', ...args]);
  const text = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].on('data', (chunk: Buffer) => (text[stream] += chunk.toString()));
  const outcome = new Promise<{ code: number | null; stdout: string; stderr: string }>((done) =>
    child.once('close', (code) => done({ code, ...text })),
  );
  return { process: child, outcome };
}

const migrate = (...args: string[]) => start(...args).outcome;

interface Written {
  name: string;
  up: string[];
  down?: string[];
  transaction?: boolean;
}

let files = 0;

/** A data source file of the migration role with these migrations. */
async function dataSourceFile(migrations: Written[], url = db.url('app'), tail = ''): Promise<string> {
  const fileUrl = (path: string) => pathToFileURL(resolve(path)).href;
  const classes = migrations.map(
    ({ name, up, down = [], transaction }) => `class ${name} {
      ${transaction === undefined ? '' : `transaction = ${transaction};`}
      async up(runner) { for (const sql of ${JSON.stringify(up)}) await runner.query(sql); }
      async down(runner) { for (const sql of ${JSON.stringify(down)}) await runner.query(sql); }
    }`,
  );
  const path = join(directory, `data-source-${++files}.mjs`);
  await writeFile(
    path,
    `import { Column, DataSource, Entity, PrimaryGeneratedColumn } from '${fileUrl('node_modules/typeorm/index.mjs')}';
     import { TenantColumn, TenantScoped } from '${fileUrl('libs/rls-tenants/dist/index.js')}';
     import { migrationDataSourceOptions } from '${fileUrl('libs/rls-tenants/dist/migrations/index.js')}';
     ${classes.join('\n')}
     const application = { type: 'postgres', url: '${url}', migrations: [${migrations.map(({ name }) => name).join(', ')}] };
     const settings = { username: '${db.roles.migrator}', password: 'test' };
     ${tail || 'export default new DataSource(migrationDataSourceOptions(application, settings));'}`,
  );
  return path;
}

const insert: Written = {
  name: 'Insert1760000000001',
  up: ['INSERT INTO counter VALUES (1)'],
  down: ['DELETE FROM counter'],
};
const broken: Written = { name: 'Broken1760000000002', up: ['SELECT 1 / 0'] };
const counted = async () =>
  (await db.asSuperuser<{ n: number }>('SELECT n FROM counter ORDER BY n')).map(({ n }) => n);
const recorded = () => db.asSuperuser('SELECT name FROM migrations ORDER BY id');

describe('two processes', () => {
  it('started at once apply everything exactly once, data too', async () => {
    const migrations = [1, 2, 3].map((n) => ({
      name: `Insert176000000000${n}`,
      up: [`INSERT INTO counter VALUES (${n})`, 'SELECT pg_sleep(0.3)'],
    }));
    const file = await dataSourceFile(migrations);
    const outcomes = await Promise.all([1, 2].map(() => migrate('run', '--no-check', '--data-source', file)));
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0]);
    expect(outcomes.map(({ stdout }) => stdout).sort()).toEqual([
      'Applied 3 migrations.\n',
      'Nothing to migrate.\n',
    ]);
    expect(outcomes.map(({ stderr }) => stderr).join('')).toMatch(
      /Waiting for the migration lock: pid \d+ "rls-tenants migrate \(pid \d+ on /,
    );
    expect(await counted()).toEqual([1, 2, 3]);
    expect(await recorded()).toHaveLength(3);
  });
});

describe('kill -9', () => {
  const kill = async ({ process: child, outcome }: Started) => {
    child.kill('SIGKILL');
    expect((await outcome).code).toBeNull();
  };
  const asleep = `SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active' AND datname = current_database()`;

  it('frees the lock, leaves nothing of a migration in a transaction, and the next run applies it once', async () => {
    const slow = (seconds: number): Written => ({
      ...insert,
      up: ['INSERT INTO counter VALUES (1)', `SELECT pg_sleep(${seconds})`],
    });
    const first = start('run', '--no-check', '--data-source', await dataSourceFile([slow(20)]));
    await until(db, asleep);
    await kill(first);
    const began = performance.now();
    expect(
      await migrate('run', '--no-check', '--data-source', await dataSourceFile([slow(0)])),
    ).toMatchObject({ code: 0, stdout: 'Applied 1 migration.\n' });
    // The server looks every two seconds whether its client is still there, and the lock is polled every second.
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(await counted()).toEqual([1]);
    expect(await recorded()).toEqual([{ name: insert.name }]);
  });

  it('the next run waits for the statement that the killed one left on the server', async () => {
    // Here the server does not notice, so that the statement goes on to its end.
    const orphan = `DO $$ BEGIN PERFORM pg_sleep(3); INSERT INTO counter VALUES (1); END $$`;
    const left: Written = {
      name: 'Left1760000000001',
      up: ['SET client_connection_check_interval = 0', orphan],
      transaction: false,
    };
    const first = start('run', '--no-check', '--data-source', await dataSourceFile([left]));
    await until(
      db,
      `SELECT FROM pg_stat_activity WHERE query LIKE 'DO $$%' AND state = 'active' AND datname = current_database()`,
    );
    await kill(first);
    const again: Written = { ...left, up: ['INSERT INTO counter SELECT 2 + count(*) FROM counter'] };
    const second = await migrate('run', '--no-check', '--data-source', await dataSourceFile([again]));
    expect(second.code).toBe(0);
    // It saw the orphan's row, so it began after it.
    expect(await counted()).toEqual([1, 3]);
  });
});

describe('rls-tenants migrate', () => {
  it('run, status, revert and fake, with exit codes', async () => {
    const file = ['--data-source', await dataSourceFile([insert, broken])];
    const failed = await migrate('run', '--no-check', ...file);
    expect(failed).toMatchObject({ code: 1, stdout: '' });
    expect(failed.stderr).toMatch(
      /\[1\/2\] run Insert1760000000001\n\[1\/2\] done in \d+\.\d s\n\[2\/2\] run Broken1760000000002\n/,
    );
    expect(failed.stderr).toContain('Migration "Broken1760000000002" failed: division by zero.');

    expect(await migrate('status', ...file)).toEqual({
      code: 0,
      stderr: '',
      stdout: `applied  2025-10-09T08:53:20.001Z  Insert1760000000001\npending  2025-10-09T08:53:20.002Z  Broken1760000000002\n\n1 pending.\n`,
    });
    expect(await migrate('fake', broken.name, ...file)).toMatchObject({
      code: 0,
      stdout: 'Recorded as applied, without running: Broken1760000000002.\n',
    });
    const { stdout } = await migrate('status', '--format', 'json', ...file);
    expect(JSON.parse(stdout)).toMatchObject([
      { state: 'applied' },
      { state: 'applied', name: broken.name, outOfOrder: false },
    ]);
    expect((await migrate('fake', broken.name, '--revert', ...file)).code).toBe(0);
    expect(await migrate('revert', ...file)).toMatchObject({
      code: 0,
      stdout: 'Reverted Insert1760000000001.\n',
    });
    expect(await counted()).toEqual([]);
  });

  it('ends with check-rls of the app role: its findings do not hide what was applied', async () => {
    const note: Written = {
      name: 'Note1760000000001',
      up: [`CREATE TABLE note (id serial PRIMARY KEY, tenant_id uuid NOT NULL)`],
    };
    const entity = `class Note {}
      PrimaryGeneratedColumn()(Note.prototype, 'id');
      TenantColumn({ type: 'uuid', name: 'tenant_id' })(Note.prototype, 'tenantId');
      Entity()(Note);
      TenantScoped()(Note);
      export default new DataSource(migrationDataSourceOptions({ ...application, entities: [Note] }, settings));`;
    const roles = ['--app-role', db.roles.app, '--admin-role', db.roles.admin];
    const unprotected = await migrate(
      'run',
      ...roles,
      '--data-source',
      await dataSourceFile([note], undefined, entity),
    );
    expect(unprotected).toMatchObject({ code: 1, stdout: 'Applied 1 migration.\n' });
    expect(unprotected.stderr).toContain('RLS004');

    const protect: Written = {
      name: 'Protect1760000000002',
      up: protectTableSql({
        table: 'note',
        tenantIdType: 'uuid',
        tenantColumn: 'tenant_id',
        adminRole: db.roles.admin,
      }),
    };
    const file = await dataSourceFile([note, protect], undefined, entity);
    expect(await migrate('run', ...roles, '--data-source', file)).toMatchObject({
      code: 0,
      stdout: 'Applied 1 migration.\nAll 1 RLS-protected tables verified.\n',
    });
  });

  it('ends with 2 on what it cannot run', async () => {
    const outcomes = await Promise.all([migrate(), migrate('walk'), migrate('run', '--no-check')]);
    const messages = [/missing required argument/, /Unknown action "walk"/, /No --data-source/];
    for (const [index, message] of messages.entries()) {
      expect(outcomes[index]).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(message) });
    }
  });

  it.each<[string[], { revert?: boolean }, string]>([
    [['fake'], {}, 'fake names no migration'],
    [['run', 'Insert1760000000001'], {}, 'run takes no names'],
    [['revert'], { revert: true }, 'revert takes no --revert'],
  ])('refuses %j with %j', async (args, options, message) => {
    await expect(new MigrateCommand().run(args, options)).rejects.toThrow(message);
  });

  it('refuses values that its options cannot have', () => {
    const command = new MigrateCommand();
    expect(() => command.parseLockWait('long')).toThrow('--lock-wait is "long"');
    expect(() => command.parseFormat('xml')).toThrow('Unknown format "xml"');
    expect(command.parseLockWait('0')).toBe(0);
  });
});

describe('migrate', () => {
  const attempt = async (options: Partial<DataSourceOptions>, migrateOptions: MigrateOptions) => {
    const output = {
      colors: false,
      text: '',
      out: () => undefined,
      err: (text: string) => void (output.text += text),
    };
    const dataSource = new DataSource({
      type: 'postgres',
      url: db.url('app'),
      ...options,
    } as DataSourceOptions);
    const code = await migrateFunction(
      () => Promise.resolve(dataSource),
      { action: 'run' },
      migrateOptions,
      output,
    );
    expect(dataSource.isInitialized).toBe(false);
    expect(code).toBe(2);
    return output.text;
  };

  it('refuses, before it changes anything, to run unchecked by mistake, as the app role, and by itself', async () => {
    expect(await attempt({}, {})).toContain('No --app-role is given');
    expect(await attempt({}, { appRole: db.roles.app })).toContain('logs in as the app role');
    expect(await attempt({ migrationsRun: true }, { check: false })).toContain('`migrationsRun: true`');
    expect(await db.asSuperuser(`SELECT to_regclass('migrations') AS made`)).toEqual([{ made: null }]);
  });
});

const itThroughPgBouncer = hasPgBouncer() || process.env.CI ? it : it.skip;

describe('behind a transaction pooler', () => {
  itThroughPgBouncer('refuses to migrate, whether or not the pooler takes the timeouts', async () => {
    const bouncer = await startPgBouncer(db);
    try {
      const made = await dataSourceFile(
        [insert],
        bouncer.url,
        `settings.username = '${db.roles.app}'; export default new DataSource(migrationDataSourceOptions(application, settings));`,
      );
      const plain = await dataSourceFile(
        [insert],
        bouncer.url,
        'export default new DataSource(application);',
      );
      for (const file of [made, plain]) {
        expect(await migrate('run', '--no-check', '--data-source', file)).toMatchObject({
          code: 2,
          stderr: expect.stringContaining('A pooler between here and PostgreSQL'),
        });
      }
      expect(await counted()).toEqual([]);
    } finally {
      await bouncer.stop();
    }
  });
});

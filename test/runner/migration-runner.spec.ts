import type { DataSource, MigrationInterface } from 'typeorm';
import { MigrationFailedError, MigrationLockError } from '../../libs/rls-tenants/src/errors.js';
import {
  ConcurrentMigration,
  MigrationRunner,
  runSql,
  type MigrationDataSourceSettings,
  type MigrationEvent,
  type MigrationRunnerOptions,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { protectTableSql } from '../../libs/rls-tenants/src/policies/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventsOf, migration, migrationDataSource, session, sql, until } from './runner-support.js';

let db: TestDatabase;
let events: MigrationEvent[];
let opened: DataSource[];

beforeEach(async () => {
  db = await createTestDatabase();
  await db.as(
    'migrator',
    `CREATE TABLE counter (n int NOT NULL); GRANT SELECT, INSERT, UPDATE ON counter TO ${db.roles.app}`,
  );
  events = [];
  opened = [];
});
afterEach(async () => {
  await Promise.all(opened.map((dataSource) => dataSource.destroy()));
  await db.drop();
});

async function runnerOf(
  migrations: (new () => MigrationInterface)[],
  options: MigrationRunnerOptions = {},
  settings: Partial<MigrationDataSourceSettings> = {},
): Promise<MigrationRunner> {
  const dataSource = await migrationDataSource(db, migrations, settings);
  opened.push(dataSource);
  return new MigrationRunner(dataSource, { onEvent: (event) => events.push(event), ...options });
}

const count = migration('Count1760000000001', sql('INSERT INTO counter VALUES (1)'), {
  down: sql('DELETE FROM counter'),
});
const fails = migration('Fails1760000000002', sql('INSERT INTO counter VALUES (2)', 'SELECT 1 / 0'));
const counted = () => db.asSuperuser<{ n: number }>('SELECT n FROM counter ORDER BY n');
const recorded = async () =>
  (await db.asSuperuser<{ name: string }>('SELECT name FROM migrations ORDER BY id')).map(({ name }) => name);

describe('run', () => {
  it('applies what is pending, oldest first, each in its own transaction and none where it wants none', async () => {
    const seen: { xid: string; next: string; application: string; active: boolean }[] = [];
    const note = (name: string, transaction?: boolean) =>
      migration(
        name,
        async (queryRunner) => {
          const query = `SELECT pg_current_xact_id()::text AS xid, current_setting('application_name') AS application`;
          const [row] = (await queryRunner.query(query)) as [{ xid: string; application: string }];
          const [{ xid: next }] = (await queryRunner.query(query)) as [{ xid: string }];
          seen.push({ ...row, next, active: queryRunner.isTransactionActive });
        },
        transaction === undefined ? {} : { transaction },
      );
    const migrations = [
      note('Third1760000000003', false),
      note('Second1760000000002'),
      note('First1760000000001'),
    ];
    const runner = await runnerOf(migrations);
    expect(await runner.run()).toEqual(['First1760000000001', 'Second1760000000002', 'Third1760000000003']);
    expect(seen.map(({ application, active }) => ({ application, active }))).toEqual([
      { application: 'migration:First1760000000001', active: true },
      { application: 'migration:Second1760000000002', active: true },
      { application: 'migration:Third1760000000003', active: false },
    ]);
    expect(seen.map(({ xid, next }) => xid === next)).toEqual([true, true, false]);
    expect(new Set(seen.map(({ xid }) => xid)).size).toBe(3);
    expect(events).toMatchObject([
      { type: 'started', name: 'First1760000000001', position: 1, of: 3 },
      { type: 'finished', name: 'First1760000000001', durationMs: expect.any(Number) },
      { type: 'started', name: 'Second1760000000002', position: 2, of: 3 },
      { type: 'finished' },
      { type: 'started', name: 'Third1760000000003' },
      { type: 'finished' },
    ]);
    expect(await runner.run()).toEqual([]);
  });

  it('leaves nothing that a migration set in the session to the next one, nor to the pool', async () => {
    const careless = migration('Careless1760000000001', sql('SET lock_timeout = 0', `SET work_mem = '1GB'`), {
      transaction: false,
    });
    const settings = `SELECT current_setting('lock_timeout') AS lock, current_setting('work_mem') AS memory`;
    const before = await db.asSuperuser(settings);
    let seen: unknown;
    const next = migration('Next1760000000002', async (queryRunner) => {
      seen = await queryRunner.query(settings);
    });
    await (await runnerOf([careless, next])).run();
    expect(seen).toEqual([{ ...before[0], lock: '2s' }]);
    expect(await opened[0]!.query(`SELECT current_setting('application_name') AS name`)).toEqual([
      { name: 'rls-tenants migrations' },
    ]);
  });

  it('lets a migration choose the isolation of its transaction, which no statement may precede', async () => {
    const serializable = migration(
      'Serializable1760000000001',
      sql('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'INSERT INTO counter SELECT count(*) FROM counter'),
    );
    expect(await (await runnerOf([serializable])).run()).toEqual(['Serializable1760000000001']);
  });

  it('leaves nothing where the commit itself is refused', async () => {
    await db.as(
      'migrator',
      'CREATE TABLE one (n int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO one VALUES (1)',
    );
    const twice = migration('Twice1760000000001', sql('INSERT INTO one VALUES (1)'));
    await expect((await runnerOf([twice])).run()).rejects.toThrow(
      /violates unique constraint .* nothing of it is left/,
    );
    expect(await recorded()).toEqual([]);
  });

  it('leaves nothing of a migration that fails in its transaction, keeps those before it, and says so', async () => {
    const runner = await runnerOf([count, fails]);
    const error = await runner.run().catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(MigrationFailedError);
    expect((error as Error).message).toBe(
      'Migration "Fails1760000000002" failed: division by zero. It ran in a transaction: nothing of it is left. ' +
        'Before it, Count1760000000001 succeeded and stays.',
    );
    expect(await counted()).toEqual([{ n: 1 }]);
    expect(await recorded()).toEqual(['Count1760000000001']);
  });

  it('says what a failing migration without a transaction leaves', async () => {
    const half = migration('Half1760000000001', sql('INSERT INTO counter VALUES (1)', 'SELECT 1 / 0'), {
      transaction: false,
    });
    await expect((await runnerOf([half])).run()).rejects.toThrow(
      'It ran without a transaction: what its statements did before this one is still there',
    );
    expect(await counted()).toEqual([{ n: 1 }]);
  });

  it('refuses a migration that leaves its own transaction open, and rolls it back', async () => {
    const open = migration(
      'Open1760000000001',
      async (queryRunner) => {
        await queryRunner.startTransaction();
        await queryRunner.query('INSERT INTO counter VALUES (1)');
      },
      { transaction: false },
    );
    await expect((await runnerOf([open])).run()).rejects.toThrow('did not end it');
    expect(await counted()).toEqual([]);
  });
});

describe('a migration that meets the lock of another session', () => {
  const alter = migration(
    'Alter1760000000001',
    sql('INSERT INTO counter VALUES (7)', 'ALTER TABLE counter ADD COLUMN m int'),
  );
  const hold = async () => {
    const holder = await session(db, 'slow report');
    await holder.query('BEGIN; LOCK TABLE counter IN ROW EXCLUSIVE MODE');
    return holder;
  };

  it('gives up after lock_timeout, says who is in the way, and succeeds as a whole when the way is free', async () => {
    const holder = await hold();
    const [{ pid }] = (await holder.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows as [
      { pid: number },
    ];
    const runner = await runnerOf([alter], { sleep: () => holder.end() }, { lockTimeoutMs: 500 });
    expect(await runner.run()).toEqual(['Alter1760000000001']);
    expect(eventsOf(events, 'retry')).toMatchObject([
      { attempt: 1, tries: 10, reason: 'lock timeout', blockers: [{ pid, application: 'slow report' }] },
    ]);
    expect(eventsOf(events, 'retry')[0]!.blockers[0]).not.toHaveProperty('query');
    expect(await counted()).toEqual([{ n: 7 }]);
  });

  it('shows what the others run only if asked to, and only to a role that may see it', async () => {
    const holder = await hold();
    await db.asSuperuser(`GRANT pg_read_all_stats TO ${db.roles.migrator}`);
    const options = { sleep: () => holder.end(), showQueries: true };
    await (await runnerOf([alter], options, { lockTimeoutMs: 500 })).run();
    expect(eventsOf(events, 'retry')[0]!.blockers).toMatchObject([
      {
        state: 'idle in transaction',
        transactionSeconds: expect.any(Number),
        query: expect.stringContaining('LOCK TABLE'),
      },
    ]);
  });

  it('lets readers and writers through while it tries', async () => {
    const holder = await hold();
    const waits: number[] = [];
    const traffic = { over: false };
    const clients = Promise.all(
      ['SELECT count(*) FROM counter', 'INSERT INTO counter VALUES (0)'].map(async (statement) => {
        while (!traffic.over) {
          const start = performance.now();
          await db.as('app', statement);
          waits.push(performance.now() - start);
        }
      }),
    );
    let sleeps = 0;
    const sleep = async () => {
      await new Promise((done) => setTimeout(done, 300));
      if (++sleeps === 2) await holder.end();
    };
    await (await runnerOf([alter], { sleep }, { lockTimeoutMs: 400 })).run();
    traffic.over = true;
    await clients;
    expect(sleeps).toBe(2);
    expect(waits.length).toBeGreaterThan(10);
    expect(Math.max(...waits)).toBeLessThan(2_000);
  });

  it('fails after the last try, with who was in the way, and leaves nothing', async () => {
    const holder = await hold();
    const pauses: number[] = [];
    const sleep = (ms: number) => Promise.resolve(void pauses.push(ms));
    const runner = await runnerOf([alter], { sleep, retry: { tries: 3 } }, { lockTimeoutMs: 200 });
    await expect(runner.run()).rejects.toThrow(
      /failed after 3 tries: canceling statement due to lock timeout\. In the way: pid \d+ "slow report"/,
    );
    expect(pauses).toHaveLength(2);
    expect(pauses[0]).toBeGreaterThanOrEqual(500);
    expect(pauses[1]).toBeGreaterThanOrEqual(1_000);
    expect(pauses[1]).toBeLessThanOrEqual(2_000);
    await holder.end();
    expect(await counted()).toEqual([]);
  });

  it('is not tried again without a transaction, unless it says it may be', async () => {
    const options = { transaction: false };
    const lock = sql('ALTER TABLE counter ADD COLUMN IF NOT EXISTS m int');
    const plain = migration('Plain1760000000001', lock, options);
    const idempotent = migration('Idempotent1760000000001', lock, { ...options, idempotent: true });
    class Concurrent1760000000001 extends ConcurrentMigration {
      readonly operations = [runSql('ALTER TABLE counter ADD COLUMN IF NOT EXISTS m int', 'SELECT 1')];
    }
    const sleep = () => Promise.resolve();
    for (const [one, tries] of [
      [plain, 0],
      [idempotent, 1],
      [Concurrent1760000000001, 1],
    ] as const) {
      events = [];
      const holder = await hold();
      const runner = await runnerOf([one], { sleep, retry: { tries: 2 } }, { lockTimeoutMs: 100 });
      await expect(runner.run()).rejects.toThrow('lock timeout');
      expect(eventsOf(events, 'retry')).toHaveLength(tries);
      await holder.end();
    }
  });

  it('is not tried again if it committed on its own, and does not claim that nothing is left', async () => {
    const half = migration('Half1760000000001', async (queryRunner) => {
      await queryRunner.query('INSERT INTO counter VALUES (1)');
      await queryRunner.commitTransaction();
      await queryRunner.startTransaction();
      await queryRunner.query('ALTER TABLE counter ADD COLUMN m int');
    });
    const holder = await hold();
    const runner = await runnerOf([half], { sleep: () => Promise.resolve() }, { lockTimeoutMs: 100 });
    await expect(runner.run()).rejects.toThrow('What it did was committed, or may have been');
    expect(eventsOf(events, 'retry')).toEqual([]);
    await holder.end();
    expect(await counted()).toEqual([{ n: 1 }]);
  });

  it('is tried again after a deadlock', async () => {
    await db.as('migrator', 'CREATE TABLE other (n int)');
    const both = migration('Both1760000000001', sql('LOCK TABLE counter', 'LOCK TABLE other'));
    // PostgreSQL looks into a wait once, after this time: it must find the holder waiting too, and end the migration.
    await db.asSuperuser(`ALTER ROLE ${db.roles.migrator} SET deadlock_timeout = '2s'`);
    const holder = await session(db);
    await holder.query(`SET deadlock_timeout = '1min'; BEGIN; LOCK TABLE other`);
    let locked: Promise<unknown> | undefined;
    const sleep = async () => {
      await locked;
      await holder.end();
    };
    const runner = await runnerOf([both], { sleep }, { lockTimeoutMs: 10_000 });
    const running = runner.run();
    await until(db, `SELECT FROM pg_locks WHERE NOT granted AND relation = 'other'::regclass`);
    locked = holder.query('LOCK TABLE counter');
    expect(await running).toEqual(['Both1760000000001']);
    expect(eventsOf(events, 'retry')).toMatchObject([{ reason: 'deadlock' }]);
  });
});

describe('the lock', () => {
  const slow = (up: () => Promise<void>) => migration('Slow1760000000001', up);

  it('lets a second runner wait, which then finds nothing left to do', async () => {
    let finish!: () => void;
    const finished = new Promise<void>((done) => (finish = done));
    const one = await runnerOf([slow(() => finished), count]);
    const two = await runnerOf([slow(() => finished), count], {
      sleep: async () => {
        finish();
        await new Promise((done) => setTimeout(done, 100));
      },
    });
    const first = one.run();
    await until(
      db,
      `SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    expect(await Promise.all([first, two.run()])).toEqual([['Slow1760000000001', 'Count1760000000001'], []]);
    expect(eventsOf(events, 'waiting')[0]!.holders).toMatchObject([
      {
        application: expect.stringMatching(/^rls-tenants migrate \(pid \d+ on /),
        role: db.roles.migrator,
        // In no transaction; active in the moments in which it looks for whom its migration waits.
        state: expect.stringMatching(/^(?:idle|active)$/),
      },
    ]);
    expect(await counted()).toEqual([{ n: 1 }]);
    expect(await recorded()).toHaveLength(2);
  });

  it('says who holds it where it is not had in time', async () => {
    const two = await runnerOf([count], { lockWaitMs: 2_000, sleep: () => Promise.resolve() });
    let refusal: unknown;
    const one = await runnerOf([
      slow(async () => {
        refusal = await two.run().catch((error: unknown) => error);
      }),
    ]);
    await one.run();
    expect(refusal).toBeInstanceOf(MigrationLockError);
    expect((refusal as Error).message).toMatch(
      /^Another runner holds the migration lock, after waiting for 2 s: pid \d+ "rls-tenants migrate .*connected since \d{4}-/,
    );
    // It is free again.
    expect(await two.run()).toEqual(['Count1760000000001']);
  });

  it('is of one migrations table: runners of others do not wait', async () => {
    const other = await migrationDataSource(db, [count]);
    opened.push(other);
    other.setOptions({ migrationsTableName: 'other_migrations' });
    let inner: string[] = [];
    const one = await runnerOf([
      slow(async () => {
        inner = await new MigrationRunner(other, { lockWaitMs: 0 }).run();
      }),
    ]);
    await one.run();
    expect(inner).toEqual(['Count1760000000001']);
  });

  it('does not deadlock a waiting runner with CREATE INDEX CONCURRENTLY', async () => {
    const open = await session(db);
    await open.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM counter');
    const index = () =>
      migration(
        'Index1760000000001',
        sql(
          'SET statement_timeout = 0',
          'SET lock_timeout = 0',
          'CREATE INDEX CONCURRENTLY counter_n ON counter (n)',
        ),
        { transaction: false },
      );
    let waits = 0;
    const two = await runnerOf([index()], {
      sleep: async () => {
        if (++waits === 3) await open.end();
        await new Promise((done) => setTimeout(done, 50));
      },
    });
    const one = (await runnerOf([index()])).run();
    await until(db, `SELECT FROM pg_stat_progress_create_index`);
    expect(await Promise.all([one, two.run()])).toEqual([['Index1760000000001'], []]);
    expect(waits).toBeGreaterThanOrEqual(3);
    expect(
      await db.asSuperuser('SELECT indisvalid FROM pg_index WHERE indexrelid = $1::regclass', ['counter_n']),
    ).toEqual([{ indisvalid: true }]);
  });

  it('is free after the connection that migrations run on was cut', async () => {
    const runner = await runnerOf([
      migration('Cut1760000000001', async (queryRunner) => {
        await queryRunner.query('INSERT INTO counter VALUES (1)');
        await queryRunner.query('SELECT pg_terminate_backend(pg_backend_pid())');
      }),
    ]);
    await expect(runner.run()).rejects.toThrow('nothing of it is left');
    expect(await counted()).toEqual([]);
    // Both locks are free again.
    expect(await (await runnerOf([count], { lockWaitMs: 0 })).run()).toEqual(['Count1760000000001']);
  });

  it('lost in the middle of a migration: its transaction is rolled back', async () => {
    const runner = await runnerOf([
      migration('Slow1760000000001', async (queryRunner) => {
        await queryRunner.query('INSERT INTO counter VALUES (1)');
        await db.asSuperuser(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'rls-tenants migrate (%' AND datname = current_database()`,
        );
        await new Promise((done) => setTimeout(done, 200));
      }),
    ]);
    await expect(runner.run()).rejects.toThrow(
      /The connection that holds the migration lock was lost.*nothing of it is left/,
    );
    expect(await counted()).toEqual([]);
  });
});

describe('revert', () => {
  it('reverts what was applied last, without a transaction where the migration wants none', async () => {
    const index = migration('Index1760000000000', sql('CREATE INDEX CONCURRENTLY counter_n ON counter (n)'), {
      transaction: false,
      down: sql('DROP INDEX CONCURRENTLY counter_n'),
    });
    await (await runnerOf([count])).run();
    const runner = await runnerOf([index, count]);
    await runner.run();
    // Applied last, although it is older.
    expect(await runner.revert()).toBe('Index1760000000000');
    expect(await db.asSuperuser(`SELECT to_regclass('counter_n') AS index`)).toEqual([{ index: null }]);
    expect(await runner.revert()).toBe('Count1760000000001');
    expect(await counted()).toEqual([]);
    expect(await runner.revert()).toBeUndefined();
  });

  it('leaves a migration applied whose down fails', async () => {
    const stuck = migration('Stuck1760000000001', sql('SELECT 1'), {
      down: sql('DELETE FROM counter', 'SELECT 1 / 0'),
    });
    await db.asSuperuser('INSERT INTO counter VALUES (5)');
    const runner = await runnerOf([stuck]);
    await runner.run();
    await expect(runner.revert()).rejects.toThrow('nothing of it is left');
    expect(await counted()).toEqual([{ n: 5 }]);
    expect(await recorded()).toEqual(['Stuck1760000000001']);
  });

  it('refuses a migration that is not in the code', async () => {
    await (await runnerOf([count])).run();
    await expect((await runnerOf([])).revert()).rejects.toThrow(
      '"Count1760000000001" was applied last and is not in the code',
    );
  });
});

describe('fake', () => {
  it('records one migration as applied, without running it, and forgets it again', async () => {
    const runner = await runnerOf([count, fails]);
    expect(await runner.fake(['Fails1760000000002'])).toEqual(['Fails1760000000002']);
    expect(await recorded()).toEqual(['Fails1760000000002']);
    expect(await counted()).toEqual([]);
    expect(await runner.run()).toEqual(['Count1760000000001']);
    expect(await runner.fakeRevert(['Count1760000000001'])).toEqual(['Count1760000000001']);
    expect(await counted()).toEqual([{ n: 1 }]);
    expect(await recorded()).toEqual(['Fails1760000000002']);
  });

  it('records all or none', async () => {
    const runner = await runnerOf([count, fails]);
    await expect(runner.fake(['Count1760000000001', 'Typo1760000000009'])).rejects.toThrow(
      'no migration "Typo1760000000009" in the code',
    );
    await expect(runner.fakeRevert(['Count1760000000001'])).rejects.toThrow('is not applied');
    await runner.fake(['Count1760000000001']);
    await expect(runner.fake(['Fails1760000000002', 'Count1760000000001'])).rejects.toThrow(
      'is applied already',
    );
    expect(await recorded()).toEqual(['Count1760000000001']);
  });
});

describe('status', () => {
  it('makes nothing', async () => {
    await (await runnerOf([count])).status();
    expect(await db.asSuperuser(`SELECT to_regclass('migrations') AS made`)).toEqual([{ made: null }]);
  });

  it('lists applied, pending and missing ones, and flags those that come too late', async () => {
    const late = migration('Late1759999999999', sql('SELECT 1'));
    const gone = migration('Gone1760000000003', sql('SELECT 1'));
    expect(await (await runnerOf([count])).status()).toMatchObject([{ state: 'pending', outOfOrder: false }]);
    await (await runnerOf([count, gone])).run();
    expect(
      await (await runnerOf([late, count, migration('New1760000000004', sql('SELECT 1'))])).status(),
    ).toEqual([
      {
        name: 'Late1759999999999',
        timestamp: new Date(1_759_999_999_999),
        state: 'pending',
        outOfOrder: true,
      },
      {
        name: 'Count1760000000001',
        timestamp: new Date(1_760_000_000_001),
        state: 'applied',
        outOfOrder: false,
      },
      {
        name: 'Gone1760000000003',
        timestamp: new Date(1_760_000_000_003),
        state: 'missing',
        outOfOrder: false,
      },
      {
        name: 'New1760000000004',
        timestamp: new Date(1_760_000_000_004),
        state: 'pending',
        outOfOrder: false,
      },
    ]);
  });
});

describe('the role', () => {
  it('is refused if it is the app role', async () => {
    const runner = await runnerOf([count], { appRole: db.roles.migrator });
    await expect(runner.run()).rejects.toThrow(`logs in as the app role "${db.roles.migrator}"`);
  });

  it('that is not admitted to all rows is warned of, and fails loudly instead of changing no rows', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE task (id int, tenant_id int); INSERT INTO task VALUES (1, 1), (2, 2);
       ${protectTableSql({ table: 'task', tenantIdType: 'integer', adminRole: db.roles.admin }).join(';')}`,
    );
    const fill = migration('Fill1760000000001', sql('UPDATE task SET id = id + 10'));
    const runner = await runnerOf([fill]);
    await db.asSuperuser(`REVOKE ${db.roles.admin} FROM ${db.roles.migrator}`);
    await expect(runner.run()).rejects.toThrow(
      'query would be affected by row-level security policy for table "task"',
    );
    expect(eventsOf(events, 'warning')).toMatchObject([
      {
        message: expect.stringContaining(
          `role "${db.roles.migrator}" is not admitted to all rows of table task`,
        ),
        hint: expect.stringContaining('GRANT'),
      },
    ]);
    await db.asSuperuser(`GRANT ${db.roles.admin} TO ${db.roles.migrator}`);
    await runner.run();
    expect(await db.asSuperuser('SELECT id FROM task ORDER BY id')).toEqual([{ id: 11 }, { id: 12 }]);
    expect(eventsOf(events, 'warning')).toHaveLength(1);
  });
});

describe('the data source', () => {
  it.each(['synchronize', 'migrationsRun'])('is refused with %s', async (option) => {
    const runner = await runnerOf([count]);
    opened[0]!.setOptions({ [option]: true });
    await expect(runner.run()).rejects.toThrow(`\`${option}: true\``);
    await expect(runner.status()).rejects.toThrow(`\`${option}: true\``);
  });
});

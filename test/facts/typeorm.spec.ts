import { AsyncLocalStorage } from 'node:async_hooks';
import pg from 'pg';
import {
  DataSource,
  type EntitySubscriberInterface,
  type MigrationInterface,
  type QueryRunner,
} from 'typeorm';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import { createProtectedDatabase } from '../support/protected-database.js';

/** What TypeORM and node-postgres do, and the library stands on or makes up for. Nothing here is isolated. */
describe('node-postgres', () => {
  it('calls back from pool.connect in the context of whoever released the connection', async () => {
    const db = await createTestDatabase();
    const context = new AsyncLocalStorage<string>();
    const pool = new pg.Pool({ connectionString: db.url(), max: 1 });
    const seen = (caller: string) =>
      context.run(
        caller,
        () =>
          new Promise<[string, string | undefined]>((resolve) => {
            pool.connect((_error, client, release) => {
              const inside = context.getStore();
              client!.query('SELECT 1', () => {
                release();
                resolve([caller, inside]);
              });
            });
          }),
      );
    const calls = await Promise.all(['a', 'b', 'c', 'd'].map(seen));
    expect(calls.filter(([caller, inside]) => caller !== inside).length).toBeGreaterThan(0);
    await pool.end();
    await db.drop();
  });
});

describe('TypeORM', () => {
  it('broadcasts no BeforeQuery for a stream: a subscriber alone misses it', async () => {
    const db = await createProtectedDatabase(NOTES);
    const dataSource = await db.plain();
    const queries: string[] = [];
    const subscriber: EntitySubscriberInterface = { beforeQuery: ({ query }) => void queries.push(query) };
    dataSource.subscribers.push(subscriber);
    const runner = dataSource.createQueryRunner();
    await runner.query('SELECT 1 AS queried');
    await (await runner.stream('SELECT 1 AS streamed')).toArray();
    await runner.release();
    expect(queries).toEqual(['SELECT 1 AS queried']);
    await db.drop();
  });

  it('serves one tenant’s cached result to another, whatever the policies say', async () => {
    const db = await createProtectedDatabase(NOTES);
    await db.asSuperuser(`INSERT INTO note (tenant_id, body) VALUES ('${A}', 'a'), ('${B}', 'b')`);
    await db.as(
      'migrator',
      `CREATE TABLE "query-result-cache" (id serial PRIMARY KEY, identifier varchar, time bigint NOT NULL, duration integer NOT NULL, query text NOT NULL, result text NOT NULL);
       GRANT ALL ON "query-result-cache", "query-result-cache_id_seq" TO ${db.roles.app}`,
    );
    const dataSource = await db.plain({ cache: { type: 'database' } });
    const find = (tenantId: string) =>
      dataSource.transaction(async (manager) => {
        await manager.query(`SELECT set_config('rls.current_tenant', $1, true)`, [tenantId]);
        return (await manager.find(Note, { cache: 60_000 })).map(({ body }) => body);
      });
    expect(await find(A)).toEqual(['a']);
    expect(await find(B)).toEqual(['a']); // B reads A's row
    await db.drop();
  });

  describe('migrations', () => {
    let db: TestDatabase;
    beforeEach(async () => {
      db = await createTestDatabase();
      await db.as('migrator', 'CREATE TABLE counter (n int NOT NULL)');
    });
    afterEach(() => db.drop());

    const migrator = (migration: new () => MigrationInterface) =>
      new DataSource({
        type: 'postgres',
        url: db.url('migrator'),
        migrations: [migration],
        migrationsTransactionMode: 'each',
      }).initialize();

    it('two runners at once both run a data migration: there is no lock', async () => {
      class Count1760000000000 implements MigrationInterface {
        async up(runner: QueryRunner): Promise<void> {
          await runner.query('SELECT pg_sleep(0.3)');
          await runner.query('INSERT INTO counter VALUES (1)');
        }
        async down(): Promise<void> {}
      }
      const runners = await Promise.all([migrator(Count1760000000000), migrator(Count1760000000000)]);
      await db.as(
        'migrator',
        'CREATE TABLE migrations (id serial PRIMARY KEY, "timestamp" bigint NOT NULL, name varchar NOT NULL)',
      );
      await Promise.all(runners.map((runner) => runner.runMigrations()));
      await Promise.all(runners.map((runner) => runner.destroy()));
      expect(await db.asSuperuser('SELECT count(*)::int AS n FROM counter')).toEqual([{ n: 2 }]);
      expect(await db.asSuperuser('SELECT count(*)::int AS n FROM migrations')).toEqual([{ n: 2 }]);
    });

    it('revert ignores `transaction = false`', async () => {
      class Index1760000000000 implements MigrationInterface {
        readonly transaction = false;
        async up(runner: QueryRunner): Promise<void> {
          await runner.query('CREATE INDEX CONCURRENTLY counter_n ON counter (n)');
        }
        async down(runner: QueryRunner): Promise<void> {
          await runner.query('DROP INDEX CONCURRENTLY counter_n');
        }
      }
      const dataSource = await migrator(Index1760000000000);
      await dataSource.runMigrations();
      await expect(dataSource.undoLastMigration()).rejects.toMatchObject({ driverError: { code: '25001' } });
      await dataSource.destroy();
    });

    it('an interrupted CREATE INDEX CONCURRENTLY leaves an invalid index, over which IF NOT EXISTS succeeds', async () => {
      const writer = new pg.Client({ connectionString: db.url('migrator') });
      await writer.connect();
      await writer.query('BEGIN; INSERT INTO counter VALUES (1)');
      const create = 'CREATE INDEX CONCURRENTLY IF NOT EXISTS counter_n ON counter (n)';
      const builder = new pg.Client({ connectionString: db.url('migrator') });
      await builder.connect();
      await builder.query(`SET lock_timeout = '50ms'`);
      await expect(builder.query(create)).rejects.toMatchObject({ code: '55P03' });
      await writer.query('COMMIT');
      await builder.query(create);
      const valid = await builder.query(
        `SELECT indisvalid FROM pg_index WHERE indexrelid = 'counter_n'::regclass`,
      );
      expect(valid.rows).toEqual([{ indisvalid: false }]);
      await Promise.all([writer.end(), builder.end()]);
    });
  });
});

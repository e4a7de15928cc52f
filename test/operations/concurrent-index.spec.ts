import pg from 'pg';
import { RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import { concurrentIndex, RlsMigration } from '../../libs/rls-tenants/src/migrations/index.js';
import { runMigration } from './support/migration-run.js';
import { A, db, LOCK_TIMEOUT, migrator, queryRunner, useSchema } from './support/suite.js';
import { underTraffic } from './support/traffic.js';

useSchema(
  () =>
    `CREATE TABLE note (id serial PRIMARY KEY, tenant_id uuid NOT NULL, email text, deleted boolean);
     INSERT INTO note (tenant_id, email) SELECT '${A}', n::text FROM generate_series(1, 500) AS n;
     GRANT SELECT, INSERT, UPDATE ON note TO ${db.roles.app};
     GRANT USAGE ON SEQUENCE note_id_seq TO ${db.roles.app}`,
);

const byEmail = { table: 'note', columns: ['tenant_id', 'email'], name: 'note_email' } as const;

const indexes = () =>
  db.asSuperuser<{ name: string; valid: boolean; oid: string }>(
    `SELECT relname AS name, indisvalid AS valid, indexrelid::text AS oid FROM pg_index JOIN pg_class ON oid = indexrelid
     WHERE indrelid = 'note'::regclass AND NOT indisprimary ORDER BY relname`,
  );

/** Makes a transaction that a concurrent build has to wait for, until it is ended. */
async function openTransaction(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: db.url('app') });
  await client.connect();
  await client.query('BEGIN');
  await client.query(`INSERT INTO note (tenant_id, email) VALUES ('${A}', 'open')`);
  return client;
}

/** Resolves once the named index is in the catalog, being built. */
async function appears(name: string): Promise<void> {
  while ((await indexes()).every((index) => index.name !== name)) await new Promise(setImmediate);
}

const buildersOf = () =>
  db.asSuperuser<{ pid: number }>(`SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE%INDEX CONC%'
    AND datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()`);

describe('concurrentIndex', () => {
  it('builds an index of any definition, and leaves no setting behind', async () => {
    await queryRunner.query(`SET lock_timeout = '7s'`);
    await concurrentIndex({
      table: 'public.note',
      name: 'note_odd',
      columns: ['tenant_id', { expression: 'lower(email) DESC NULLS LAST' }],
      unique: true,
      where: 'deleted IS NOT TRUE',
    }).up(queryRunner);
    const [index] = await db.asSuperuser(`SELECT indexdef FROM pg_indexes WHERE indexname = 'note_odd'`);
    expect(index?.indexdef).toBe(
      'CREATE UNIQUE INDEX note_odd ON public.note USING btree (tenant_id, lower(email) DESC NULLS LAST) WHERE (deleted IS NOT TRUE)',
    );
    const [setting] = (await queryRunner.query('SHOW lock_timeout')) as { lock_timeout: string }[];
    expect(setting?.lock_timeout).toBe('7s');
  });

  it('is named as TypeORM names an index of its columns', async () => {
    const { name: _, ...unnamed } = byEmail;
    await concurrentIndex(unnamed).up(queryRunner);
    expect((await indexes())[0]?.name).toBe(
      migrator.namingStrategy.indexName('note', ['tenant_id', 'email']),
    );
    const expression = concurrentIndex({ table: 'note', columns: [{ expression: 'lower(email)' }] });
    await expect(expression.up(queryRunner)).rejects.toThrow('has no name');
  });

  it('keeps the valid index of that definition that is there', async () => {
    await queryRunner.query('CREATE INDEX note_email ON note (tenant_id, email)');
    const before = await indexes();
    await concurrentIndex(byEmail).up(queryRunner);
    expect(await indexes()).toEqual(before);
  });

  it.each([
    ['other columns', 'CREATE INDEX note_email ON note (email)'],
    ['uniqueness', 'CREATE UNIQUE INDEX note_email ON note (tenant_id, email)'],
    ['a predicate', 'CREATE INDEX note_email ON note (tenant_id, email) WHERE deleted'],
    ['another order', 'CREATE INDEX note_email ON note (tenant_id, email DESC)'],
    [
      'another table',
      'CREATE TABLE other (tenant_id int, email int); CREATE INDEX note_email ON other (tenant_id, email)',
    ],
    ['no index at all', 'CREATE TABLE note_email ()'],
  ])('refuses a name whose index has %s', async (_, sql) => {
    await queryRunner.query(sql);
    await expect(concurrentIndex(byEmail).up(queryRunner)).rejects.toThrow(/"note_email"/);
    await expect(concurrentIndex(byEmail).up(queryRunner)).rejects.toBeInstanceOf(RlsConfigurationError);
  });

  it('is dropped by `down`, which refuses another index of the name', async () => {
    await concurrentIndex(byEmail).up(queryRunner);
    await concurrentIndex(byEmail).down(queryRunner);
    expect(await indexes()).toEqual([]);
    await queryRunner.query('CREATE INDEX note_email ON note (email)');
    await expect(concurrentIndex(byEmail).down(queryRunner)).rejects.toThrow(
      'has another index "note_email"',
    );
    expect(await indexes()).toMatchObject([{ name: 'note_email', valid: true }]);
  });

  it('builds an invalid index anew', async () => {
    const open = await openTransaction();
    const failure = concurrentIndex(byEmail)
      .up(queryRunner)
      .catch((error: unknown) => error);
    await appears('note_email');
    for (const { pid } of await buildersOf())
      await db.asSuperuser('SELECT pg_terminate_backend($1, 5000)', [pid]);
    expect(await failure).toBeInstanceOf(Error);
    await open.end();
    const [invalid] = await indexes();
    expect(invalid).toMatchObject({ name: 'note_email', valid: false });
    // What hides an invalid index from everybody who only looks for its name:
    await db.as('migrator', 'CREATE INDEX IF NOT EXISTS note_email ON note (tenant_id, email)');
    expect((await indexes())[0]).toEqual(invalid);

    const again = migrator.createQueryRunner();
    await concurrentIndex(byEmail).up(again);
    await again.release();
    const [rebuilt] = await indexes();
    expect(rebuilt).toMatchObject({ name: 'note_email', valid: true });
    expect(rebuilt?.oid).not.toBe(invalid?.oid);
  });

  it('waits for somebody else’s build of the same index, and keeps what comes of it', async () => {
    const open = await openTransaction();
    const first = concurrentIndex(byEmail).up(queryRunner);
    await appears('note_email');
    const [building] = await indexes();
    expect(building?.valid).toBe(false);
    const other = migrator.createQueryRunner();
    const second = concurrentIndex(byEmail).up(other);
    await new Promise((resolve) => setTimeout(resolve, 400));
    await open.query('COMMIT');
    await open.end();
    await Promise.all([first, second]);
    await other.release();
    expect(await indexes()).toEqual([{ ...building, valid: true }]);
  });

  it('says which rows are duplicates, and leaves no invalid index that would refuse writes', async () => {
    await queryRunner.query(`INSERT INTO note (tenant_id, email) VALUES ('${A}', '7')`);
    const unique = concurrentIndex({ ...byEmail, unique: true });
    await expect(unique.up(queryRunner)).rejects.toThrow(`('${A}', '7') in 2 rows`);
    expect(await indexes()).toEqual([]);
    await queryRunner.query(`DELETE FROM note WHERE id = 501`);
    await unique.up(queryRunner);
    expect(await indexes()).toMatchObject([{ name: 'note_email', valid: true }]);
  });

  it('refuses the runner’s transaction, and says what to extend', async () => {
    class Transactional extends RlsMigration {
      readonly operations = [concurrentIndex(byEmail)];
    }
    await queryRunner.startTransaction();
    await expect(new Transactional().up(queryRunner)).rejects.toMatchObject({
      hint: expect.stringContaining('ConcurrentMigration') as string,
    });
    await queryRunner.rollbackTransaction();
  });

  it('lets readers and writers go on while it builds over 200,000 rows', async () => {
    await queryRunner.query(
      `INSERT INTO note (tenant_id, email) SELECT '${A}', n::text FROM generate_series(1000, 201000) AS n`,
    );
    const traffic = await underTraffic(
      db.url('app'),
      {
        read: 'SELECT count(*) FROM note WHERE id < 100',
        write: `INSERT INTO note (tenant_id, email) VALUES ('${A}', 'new')`,
      },
      () => runMigration(db, [concurrentIndex(byEmail)]),
    );
    expect(traffic.writes).toBeGreaterThan(20);
    expect(traffic.longestWrite).toBeLessThan(LOCK_TIMEOUT);
    expect(traffic.longestRead).toBeLessThan(LOCK_TIMEOUT);

    // Control: an ordinary build keeps writers out until it is committed.
    await queryRunner.startTransaction();
    await queryRunner.query('CREATE INDEX note_plain ON note (email)');
    const write = `SET lock_timeout = '100ms'; INSERT INTO note (tenant_id) VALUES ('${A}')`;
    await expect(db.as('app', write)).rejects.toMatchObject({ code: '55P03' });
    await queryRunner.rollbackTransaction();
  });
});

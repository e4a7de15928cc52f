import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

/** Which locks PostgreSQL takes, and when it reads rows for it: what the lint rules say, as the server does it. */
let db: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  db = await createTestDatabase();
  await db.asSuperuser(`
    CREATE TABLE tag (id int PRIMARY KEY);
    CREATE TABLE note (id int PRIMARY KEY, tag_id int, body text CHECK (body <> ''));
    CREATE INDEX note_body ON note (body);
    CREATE POLICY everything ON note USING (true);
    CREATE TABLE event (at int) PARTITION BY RANGE (at);
    CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10);
    CREATE TABLE event_2 (at int);
  `);
  client = new pg.Client({ connectionString: db.url() });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await db.drop();
});
afterEach(() => client.query('ROLLBACK'));

/** The strongest lock that the statement takes on each table. */
async function locksOf(sql: string): Promise<Record<string, string>> {
  await client.query('BEGIN');
  await client.query(sql);
  const { rows } = await client.query<{ table: string; mode: string }>(
    `SELECT c.relname AS table, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
     WHERE l.pid = pg_backend_pid() AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
       AND l.mode IN ('AccessExclusiveLock', 'ShareRowExclusiveLock')
     ORDER BY l.mode DESC`,
  );
  return Object.fromEntries(rows.map(({ table, mode }) => [table, mode]));
}

const EXCLUSIVE = 'AccessExclusiveLock';
const WRITERS = 'ShareRowExclusiveLock';

describe('the lock of', () => {
  it.each([
    ['ALTER TABLE note ADD COLUMN a int', { note: EXCLUSIVE }],
    ['ALTER TABLE note DROP COLUMN body', { note: EXCLUSIVE }],
    ['ALTER TABLE note ALTER COLUMN body SET NOT NULL', { note: EXCLUSIVE }],
    ['ALTER TABLE note ALTER COLUMN body DROP NOT NULL', { note: EXCLUSIVE }],
    [`ALTER TABLE note ALTER COLUMN body SET DEFAULT 'a'`, { note: EXCLUSIVE }],
    ['ALTER TABLE note ALTER COLUMN body TYPE varchar', { note: EXCLUSIVE }],
    ['ALTER TABLE note DROP CONSTRAINT note_body_check', { note: EXCLUSIVE }],
    ['ALTER TABLE note ADD CONSTRAINT a CHECK (id > 0) NOT VALID', { note: EXCLUSIVE }],
    ['ALTER TABLE note ADD CONSTRAINT a UNIQUE (id)', { note: EXCLUSIVE }],
    ['ALTER TABLE note RENAME COLUMN body TO text', { note: EXCLUSIVE }],
    ['ALTER TABLE note ENABLE ROW LEVEL SECURITY', { note: EXCLUSIVE }],
    ['ALTER TABLE note FORCE ROW LEVEL SECURITY', { note: EXCLUSIVE }],
    ['CREATE POLICY a ON note USING (true)', { note: EXCLUSIVE }],
    ['ALTER POLICY everything ON note USING (false)', { note: EXCLUSIVE }],
    ['DROP POLICY everything ON note', { note: EXCLUSIVE }],
    ['DROP INDEX note_body', { note: EXCLUSIVE }],
    ['TRUNCATE note', { note: EXCLUSIVE }],
    ['ALTER TABLE note SET UNLOGGED', { note: EXCLUSIVE }],
    ['ALTER TABLE note DISABLE TRIGGER USER', { note: WRITERS }],
    [
      'ALTER TABLE note ADD CONSTRAINT a FOREIGN KEY (tag_id) REFERENCES tag (id) NOT VALID',
      { note: WRITERS, tag: WRITERS },
    ],
    ['CREATE TABLE page (tag_id int REFERENCES tag (id))', { page: EXCLUSIVE, tag: WRITERS }],
    [
      'CREATE TABLE event_3 PARTITION OF event FOR VALUES FROM (20) TO (30)',
      { event: EXCLUSIVE, event_3: EXCLUSIVE },
    ],
    ['ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM (10) TO (20)', { event_2: EXCLUSIVE }],
    ['ALTER TABLE event DETACH PARTITION event_1', { event: EXCLUSIVE, event_1: EXCLUSIVE }],
  ])('%s', async (sql, locks) => {
    expect(await locksOf(sql)).toEqual(locks);
  });

  it('VALIDATE CONSTRAINT and CREATE INDEX lets readers go on, and VALIDATE writers too', async () => {
    await client.query('ALTER TABLE note ADD CONSTRAINT later CHECK (id > 0) NOT VALID');
    expect(await locksOf('ALTER TABLE note VALIDATE CONSTRAINT later')).toEqual({});
    await client.query('ROLLBACK');
    await client.query('ALTER TABLE note DROP CONSTRAINT later');
    expect(await locksOf('CREATE INDEX a ON note (tag_id)')).toEqual({});
  });
});

describe('a timeout', () => {
  it('that is SET LOCAL outside a transaction is not set', async () => {
    const warnings: string[] = [];
    const listener = ({ code }: { code?: string | undefined }) => void warnings.push(code ?? '');
    client.on('notice', listener);
    await client.query(`SET LOCAL lock_timeout = '7s'`);
    client.off('notice', listener);
    expect(warnings).toEqual(['25P01']);
    expect((await client.query('SHOW lock_timeout')).rows).toEqual([{ lock_timeout: '0' }]);
  });

  it('that is SET in a transaction outlives it', async () => {
    await client.query('BEGIN');
    await client.query(`SET lock_timeout = '7s'`);
    await client.query('COMMIT');
    expect((await client.query('SHOW lock_timeout')).rows).toEqual([{ lock_timeout: '7s' }]);
    await client.query('RESET lock_timeout');
  });
});

describe('ATTACH PARTITION', () => {
  /** What the server says of the proofs that saved it from reading. */
  async function attach(prepare: string): Promise<string[]> {
    const said: string[] = [];
    const listener = ({ message }: { message?: string | undefined }) => {
      if (message?.includes('is implied by existing constraints')) said.push(message);
    };
    await client.query(`BEGIN; ${prepare}; SET LOCAL client_min_messages = debug1`);
    client.on('notice', listener);
    await client.query('ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM (10) TO (20)');
    client.off('notice', listener);
    return said;
  }
  const proven = 'partition constraint for table "event_2" is implied by existing constraints';
  const bound = 'ALTER TABLE event_2 ADD CONSTRAINT bound CHECK (at IS NOT NULL AND at >= 10 AND at < 20)';

  it('reads the partition, unless a CHECK that is valid implies the bound', async () => {
    expect(await attach('SELECT 1')).toEqual([]);
    await client.query('ROLLBACK');
    expect(await attach(bound)).toEqual([proven]);
    await client.query('ROLLBACK');
    // A CHECK that is not validated proves nothing.
    expect(await attach(`${bound} NOT VALID`)).toEqual([]);
    await client.query('ROLLBACK');
    expect(await attach(`${bound} NOT VALID; ALTER TABLE event_2 VALIDATE CONSTRAINT bound`)).toEqual([
      proven,
    ]);
  });

  it('reads and locks the DEFAULT partition as well, unless a CHECK excludes the bound', async () => {
    const rest = 'CREATE TABLE event_rest PARTITION OF event DEFAULT';
    expect(await attach(`${rest}; ${bound}`)).toEqual([proven]);
    await client.query('ROLLBACK');
    expect(
      await attach(`${rest}; ALTER TABLE event_rest ADD CHECK (at IS NOT NULL AND at >= 100); ${bound}`),
    ).toEqual([
      proven,
      'updated partition constraint for default partition "event_rest" is implied by existing constraints',
    ]);
  });
});

describe('a condition of the caller under row-level security', () => {
  it('is part of the index search if its operator is leakproof: text and bigint are, enum and numeric are not', async () => {
    await client.query(`BEGIN;
      CREATE TYPE status AS ENUM ('todo', 'done');
      CREATE TABLE task (tenant_id int, status status, label text, cents bigint, price numeric);
      CREATE INDEX ON task (tenant_id, status); CREATE INDEX ON task (tenant_id, label);
      CREATE INDEX ON task (tenant_id, cents); CREATE INDEX ON task (tenant_id, price);
      CREATE POLICY tenant ON task USING (tenant_id = NULLIF(current_setting('rls.tenant', true), '')::int);
      GRANT SELECT ON task TO ${db.roles.app};
      SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off`);
    const searched = async (condition: string) => {
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN (COSTS OFF) SELECT FROM task WHERE tenant_id = 1 AND ${condition}`,
      );
      const index = rows.find((row) => row['QUERY PLAN'].includes('Index Cond'))?.['QUERY PLAN'] ?? '';
      return index.includes(condition.split(' ')[0]!);
    };
    const conditions = [`status = 'done'`, 'price = 1.5', `label = 'a'`, 'cents = 150'];
    const all = async () => {
      const results: boolean[] = [];
      for (const condition of conditions) results.push(await searched(condition));
      return results;
    };
    // Without row-level security each of them is searched for: the indexes are good for it.
    expect(await all()).toEqual([true, true, true, true]);
    await client.query(`ALTER TABLE task ENABLE ROW LEVEL SECURITY; SET LOCAL ROLE ${db.roles.app}`);
    expect(await all()).toEqual([false, false, true, true]);
  });
});

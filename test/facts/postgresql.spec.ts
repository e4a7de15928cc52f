import pg from 'pg';
import { tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { SERVER_VERSION } from '../support/database.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

/**
 * What PostgreSQL does, and the library stands on: as plain node-postgres sees it, without the library, unless a test
 * says otherwise. Where a fact is a hole, the test shows it, so that nobody takes it for closed.
 */
let db: ProtectedDatabase;
let client: pg.Client;

beforeAll(async () => {
  db = await createProtectedDatabase(NOTES);
});
afterAll(() => db.drop());

beforeEach(async () => {
  await db.asSuperuser(
    `TRUNCATE note CASCADE; INSERT INTO note (id, tenant_id, body) VALUES (1, '${A}', 'a'), (2, '${B}', 'b')`,
  );
  client = new pg.Client({ connectionString: db.url('app') });
  await client.connect();
});
afterEach(() => client.end());

const SET = `SELECT set_config('rls.current_tenant', $1, true)`;
const visible = async () =>
  (await client.query<{ body: string }>('SELECT body FROM note')).rows.map(({ body }) => body);
const code = (query: Promise<unknown>) =>
  query.then(
    () => 'success',
    (error: pg.DatabaseError) => error.code,
  );

describe('a custom setting', () => {
  it("reads NULL before its first use and '' after it", async () => {
    const read = async () =>
      (await client.query("SELECT current_setting('rls.current_tenant', true) AS value")).rows[0];
    expect(await read()).toEqual({ value: null });
    await client.query(SET, [A]);
    expect(await read()).toEqual({ value: '' });
  });

  it('of the session comes back when the transaction that cleared it rolls back', async () => {
    await client.query(`SELECT set_config('rls.current_tenant', $1, false)`, [A]);
    await client.query('BEGIN');
    await client.query(`SELECT set_config('rls.current_tenant', '', false)`);
    await client.query('ROLLBACK');
    expect(await visible()).toEqual(['a']); // why nothing here ever sets the session
  });

  it('of the transaction comes back at ROLLBACK TO SAVEPOINT, and stays at RELEASE', async () => {
    await client.query('BEGIN');
    await client.query(SET, [A]);
    await client.query('SAVEPOINT one');
    await client.query(SET, [B]);
    await client.query('RELEASE SAVEPOINT one');
    expect(await visible()).toEqual(['b']);
    await client.query('SAVEPOINT two');
    await client.query(SET, [A]);
    await client.query('ROLLBACK TO SAVEPOINT two');
    expect(await visible()).toEqual(['b']);
    await client.query('ROLLBACK');
  });

  it('may be set by any role: the limit of the plain form', async () => {
    await client.query('BEGIN');
    await client.query(SET, [B]);
    expect(await visible()).toEqual(['b']);
    await client.query('ROLLBACK');
  });
});

describe('a query in front', () => {
  it('of SET TRANSACTION ISOLATION LEVEL makes it fail: it took a snapshot', async () => {
    await client.query('BEGIN');
    await client.query(SET, [A]);
    expect(await code(client.query('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE'))).toBe('25001');
  });

  it('of ROLLBACK in an aborted transaction fails, and masks it', async () => {
    await client.query('BEGIN');
    await client.query('SELECT 1/0').catch(() => undefined);
    expect(await code(client.query(`SELECT set_config('rls.current_tenant', '${A}', true); ROLLBACK`))).toBe(
      '25P02',
    );
    expect(await code(client.query('SELECT 1'))).toBe('25P02');
    await client.query('ROLLBACK');
  });

  const since18 = SERVER_VERSION >= 180000 ? it : it.skip;
  since18(
    'as extended messages without Sync, before a simple query, leaks into the next statement',
    async () => {
      const { connection } = client as unknown as {
        connection: Record<'parse' | 'bind' | 'execute', (message: object) => void>;
      };
      connection.parse({ text: SET });
      connection.bind({ values: [A] });
      connection.execute({});
      // Its row arrives as this statement's, which node-postgres cannot read without a description.
      await client.query('SELECT 1').catch(() => undefined);
      expect(await visible()).toEqual(['a']);
    },
  );

  it('of VACUUM makes it fail: it may not run in a transaction block', async () => {
    expect(
      await code(client.query(`SELECT set_config('rls.current_tenant', '${A}', true); VACUUM note`)),
    ).toBe('25001');
  });
});

describe('constraints know no tenants', () => {
  const as = (tenantId: string, sql: string) =>
    db.as('app', `SELECT set_config('rls.current_tenant', '${tenantId}', true); ${sql}`);

  it('ON CONFLICT DO NOTHING against a hidden row does nothing, silently', async () => {
    await as(A, `INSERT INTO note (id, body) VALUES (2, 'mine') ON CONFLICT DO NOTHING`);
    expect(await db.asSuperuser('SELECT id, body FROM note ORDER BY id')).toEqual([
      { id: 1, body: 'a' },
      { id: 2, body: 'b' },
    ]);
  });

  it('ON CONFLICT DO UPDATE against a hidden row is refused, and takes nothing', async () => {
    const upsert = as(
      A,
      `INSERT INTO note (id, body) VALUES (2, 'taken') ON CONFLICT (id) DO UPDATE SET body = 'taken'`,
    );
    expect(await code(upsert)).toBe('42501');
    expect(await db.asSuperuser('SELECT body FROM note WHERE id = 2')).toEqual([{ body: 'b' }]);
  });

  it('a duplicate of a hidden row tells that it exists, and not what is in it', async () => {
    const error = await as(A, `INSERT INTO note (id, body) VALUES (2, 'probe')`).catch(
      (reason: pg.DatabaseError) => reason,
    );
    expect(error).toMatchObject({ code: '23505', detail: undefined });
  });

  it('an upsert through the library within the tenant works', async () => {
    const dataSource = await db.isolated();
    await tenantContext(A, () => dataSource.getRepository(Note).upsert({ id: 1, body: 'a2' }, ['id']));
    await expect(
      tenantContext(A, () => dataSource.getRepository(Note).upsert({ id: 2, body: 'taken' }, ['id'])),
    ).rejects.toMatchObject({ name: 'RlsViolationError' });
    expect(await db.asSuperuser('SELECT body FROM note ORDER BY id')).toEqual([
      { body: 'a2' },
      { body: 'b' },
    ]);
  });
});

describe('ways around the policy', () => {
  const read = async (source: string) =>
    (await db.as<{ body: string }>('app', `SELECT body FROM ${source}`)).map(({ body }) => body).sort();

  it('a view of a superuser shows every row, one with security_invoker the caller’s', async () => {
    await db.asSuperuser(
      `CREATE VIEW open_note AS SELECT * FROM note; CREATE VIEW safe_note WITH (security_invoker = true) AS SELECT * FROM note;
       GRANT SELECT ON open_note, safe_note TO ${db.roles.app}`,
    );
    expect(await read('open_note')).toEqual(['a', 'b']);
    expect(await read('safe_note')).toEqual([]);
    const asTenant = `SELECT set_config('rls.current_tenant', '${A}', true); SELECT body FROM safe_note`;
    expect(await db.as('app', asTenant)).toEqual([{ body: 'a' }]);
  });

  it('a SECURITY DEFINER function of a superuser shows every row', async () => {
    await db.asSuperuser(
      `CREATE FUNCTION all_notes() RETURNS SETOF note LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM note'`,
    );
    expect(await read('all_notes()')).toEqual(['a', 'b']);
  });

  it('a materialized view holds what its maker saw', async () => {
    await db.asSuperuser(
      `CREATE MATERIALIZED VIEW stored_note AS SELECT * FROM note; GRANT SELECT ON stored_note TO ${db.roles.app}`,
    );
    expect(await read('stored_note')).toEqual(['a', 'b']);
  });

  it('a partition that is granted shows what its parent hides', async () => {
    await db.asSuperuser(
      `CREATE TABLE event (tenant_id uuid, body text) PARTITION BY HASH (tenant_id);
       CREATE TABLE event_0 PARTITION OF event FOR VALUES WITH (MODULUS 1, REMAINDER 0);
       ALTER TABLE event ENABLE ROW LEVEL SECURITY; ALTER TABLE event FORCE ROW LEVEL SECURITY;
       CREATE POLICY event_policy ON event USING (false);
       INSERT INTO event VALUES ('${B}', 'b'); GRANT SELECT ON event, event_0 TO ${db.roles.app}`,
    );
    expect(await read('event')).toEqual([]);
    expect(await read('event_0')).toEqual(['b']);
  });

  it('row_security = off is an error for the app role, not a bypass', async () => {
    await client.query('SET row_security = off');
    expect(await code(client.query('SELECT * FROM note'))).toBe('42501');
  });

  it('TRUNCATE is no way around where it is not granted, and COPY FROM is refused', async () => {
    expect(await code(client.query('TRUNCATE note'))).toBe('42501');
    expect(await code(client.query('COPY note (body) FROM STDIN'))).toBe('0A000');
  });

  it('a prepared statement is planned again when the role changes', async () => {
    await client.query('PREPARE notes AS SELECT body FROM note ORDER BY 1');
    const bodies = async () =>
      (await client.query<{ body: string }>('EXECUTE notes')).rows.map(({ body }) => body);
    await client.query('BEGIN');
    await client.query(SET, [A]);
    for (let n = 0; n < 7; n++) expect(await bodies()).toEqual(['a']);
    await client.query(`SET LOCAL ROLE ${db.roles.admin}`);
    expect(await bodies()).toEqual(['a', 'b']);
    await client.query(`SET LOCAL ROLE none`);
    expect(await bodies()).toEqual(['a']);
    await client.query('ROLLBACK');
  });
});

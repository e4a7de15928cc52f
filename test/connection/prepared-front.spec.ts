import pg from 'pg';
import type { DataSource } from 'typeorm';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { RlsTenantsError } from '../../libs/rls-tenants/src/errors.js';
import { A, B, NOTES } from '../support/notes.js';
import { hasPgBouncer, startPgBouncer } from '../support/pgbouncer.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { startWire, type Wire } from '../support/wire.js';

const itThroughPgBouncer = hasPgBouncer() || process.env.CI ? it : it.skip;

/** The messages of one statement with a parameter, and of what may stand in front of it. */
const STATEMENT = 'PBDES';
const UNNAMED = 'PBE';
const PREPARING = 'CPBE';
const PREPARED = 'BE';

describe('a front as a prepared statement', () => {
  let db: ProtectedDatabase;
  let wire: Wire;
  let ds: DataSource;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    await db.asSuperuser(`INSERT INTO note (tenant_id, body) VALUES ('${A}', 'a'), ('${B}', 'b')`);
    const { hostname, port } = new URL(db.url());
    wire = await startWire({ host: hostname, port: Number(port) });
  });
  beforeEach(async () => {
    ds = await db.isolated({}, { url: wire.url(db.url('app')), poolSize: 1 });
  });
  afterEach(() => ds.destroy());
  afterAll(async () => {
    await db.drop();
    await wire.close();
  });

  const SELECT = 'SELECT body FROM note WHERE id > $1';
  const bodies = async (tenantId: string, dataSource = ds) =>
    (await tenantContext(tenantId, () => dataSource.query<{ body: string }[]>(SELECT, [0]))).map(
      ({ body }) => body,
    );
  async function sentFor(work: () => Promise<unknown>): Promise<string> {
    wire.reset();
    await work();
    return wire.sent().join('');
  }

  it('control: both tenants have a row', async () => {
    expect(await db.asSuperuser('SELECT body FROM note ORDER BY body')).toEqual([
      { body: 'a' },
      { body: 'b' },
    ]);
  });

  it('the first statement of a connection asks, the second prepares, the others use it, for any tenant', async () => {
    const fronts = [UNNAMED, PREPARING, PREPARED, PREPARED];
    const tenants = [A, A, B, A];
    for (const [index, tenantId] of tenants.entries()) {
      let rows: string[] = [];
      expect(await sentFor(async () => (rows = await bodies(tenantId)))).toBe(fronts[index] + STATEMENT);
      expect(rows).toEqual([tenantId === A ? 'a' : 'b']);
    }
  });

  it('a statement that fails leaves it prepared', async () => {
    for (let n = 0; n < 3; n++) await bodies(A);
    await expect(tenantContext(A, () => ds.query('SELECT $1::integer / 0', [1]))).rejects.toThrow('division');
    await expect(tenantContext(A, () => ds.query('SELEC $1', [1]))).rejects.toThrow('syntax');
    expect(await sentFor(() => bodies(B))).toBe(PREPARED + STATEMENT);
  });

  it.each(['first', 'second'])(
    'the %s statement may fail: it is found out with a later one',
    async (which) => {
      if (which === 'second') await bodies(A);
      await expect(tenantContext(A, () => ds.query('SELECT $1::integer / 0', [1]))).rejects.toThrow(
        'division',
      );
      for (let n = 0; n < 2; n++) expect(await bodies(B)).toEqual(['b']);
      expect(await sentFor(() => bodies(A))).toBe(PREPARED + STATEMENT);
    },
  );

  it('what carries the role is not prepared, and does not end it', async () => {
    for (let n = 0; n < 3; n++) await bodies(A);
    await ds.transaction(async (manager) => {
      const select = () => manager.query<{ body: string }[]>(SELECT, [0]);
      expect(await adminContext('both tenants', select)).toHaveLength(2);
      expect(await sentFor(() => tenantContext(B, select))).toBe(UNNAMED + STATEMENT);
    });
    expect(await sentFor(() => bodies(B))).toBe(PREPARED + STATEMENT);
  });

  it.each(['DISCARD ALL', 'DEALLOCATE ALL'])(
    '%s of the application: it is prepared again',
    async (command) => {
      for (let n = 0; n < 3; n++) await bodies(A);
      await ds.query(command);
      expect(await sentFor(() => bodies(B))).toBe(PREPARING + STATEMENT);
      expect(await bodies(A)).toEqual(['a']);
    },
  );

  it('deallocated behind its back: the next statement is not run, those after it carry without preparing', async () => {
    for (let n = 0; n < 3; n++) await bodies(A);
    await ds.query(`DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$`);
    const insert = tenantContext(A, () => ds.query('INSERT INTO note (body) VALUES ($1)', ['lost']));
    await expect(insert).rejects.toThrow('PostgreSQL has forgotten the prepared statement');
    await expect(insert).rejects.toMatchObject({ driverError: expect.any(RlsTenantsError) as unknown });
    expect(await db.asSuperuser("SELECT 1 FROM note WHERE body = 'lost'")).toEqual([]);
    expect(await sentFor(() => bodies(B))).toBe(UNNAMED + STATEMENT);
    expect(await bodies(A)).toEqual(['a']);
  });

  it('many statements in one pipeline: no two of them prepare it', async () => {
    const pipelined = await db.isolated({}, { url: db.url('app'), poolSize: 1, extra: { pipeline: true } });
    const pool = (pipelined.driver as unknown as { master: pg.Pool }).master;
    const client = await pool.connect();
    try {
      for (let batch = 0; batch < 4; batch++) {
        const results = await Promise.all(
          Array.from({ length: 10 }, (_, n) => tenantContext(n % 2 ? A : B, () => client.query(SELECT, [0]))),
        );
        expect(results.map(({ rows }) => rows)).toEqual(results.map((_, n) => [{ body: n % 2 ? 'a' : 'b' }]));
      }
    } finally {
      client.release();
    }
  });

  itThroughPgBouncer('behind PgBouncer it is never prepared', async () => {
    const bouncer = await startPgBouncer(db);
    const { hostname, port } = new URL(bouncer.url);
    const pooledWire = await startWire({ host: hostname, port: Number(port) });
    const pooled = await db.isolated({}, { url: pooledWire.url(bouncer.url), poolSize: 1 });
    try {
      for (let n = 0; n < 5; n++) {
        pooledWire.reset();
        expect(await bodies(n % 2 ? A : B, pooled)).toEqual([n % 2 ? 'a' : 'b']);
        expect(pooledWire.sent().join('')).toBe(UNNAMED + STATEMENT);
      }
    } finally {
      await pooled.destroy();
      await pooledWire.close();
      await bouncer.stop();
    }
  });
});

import pg from 'pg';
import type { DataSource } from 'typeorm';
import {
  adminContext,
  tenantContext,
  withoutTenant,
} from '../../libs/rls-tenants/src/context/tenant-context.js';
import { Note, Notebook, NOTES, Tag, tenant } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { runSchedule } from '../support/schedule.js';

const TENANTS = 50;
const [A, B] = [tenant(1), tenant(2)];
const seed = Number(process.env.SCHEDULE_SEED ?? Math.floor(Math.random() * 1e6));
const operations = 5000;

/** A client of a release before pg 8.21, which did not tell its transaction status. */
class OldClient extends pg.Client {
  override getTransactionStatus = undefined as never;
}

describe(`a node-postgres that does not tell its transaction status, seed ${seed}`, () => {
  let db: ProtectedDatabase;
  let ds: DataSource;
  let role: () => Promise<string>;

  const old = (poolSize: number) =>
    db.isolated({ onMissingTenant: 'empty' }, { poolSize, extra: { Client: OldClient } });
  const poolOf = (dataSource: DataSource) => (dataSource.driver as unknown as { master: pg.Pool }).master;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    ds = await old(1);
    role = async () => (await ds.query<[{ role: string }]>('SELECT current_user AS role'))[0].role;
    for (let n = 1; n <= TENANTS; n++) {
      await tenantContext(tenant(n), async () => {
        const tags = await ds.getRepository(Tag).save([{ name: 'red' }]);
        const notes = [1, 2, 3].map((note) => Object.assign(new Note(), { body: `note ${note}`, tags }));
        await ds.getRepository(Notebook).save({ title: 'book', notes });
      });
    }
  });
  afterAll(() => db.drop());

  it('control: its clients are such', async () => {
    const client = await poolOf(ds).connect();
    expect(client).toBeInstanceOf(OldClient);
    expect((client as unknown as { getTransactionStatus: unknown }).getTransactionStatus).toBeUndefined();
    client.release();
    expect(await db.asSuperuser('SELECT DISTINCT tenant_id FROM note')).toHaveLength(TENANTS);
  });

  it('carries in nested transactions, past failing savepoints', async () => {
    await tenantContext(A, () =>
      ds.transaction(async (outer) => {
        const tenants = async () => (await outer.query('SELECT DISTINCT tenant_id FROM note')) as unknown;
        expect(await tenants()).toEqual([{ tenant_id: A }]);
        const inner = outer.transaction((manager) => tenantContext(B, () => manager.query('SELECT 1/0')));
        await expect(inner).rejects.toMatchObject({ driverError: { code: '22012' } });
        expect(await tenants()).toEqual([{ tenant_id: A }]);
        expect(await tenantContext(B, tenants)).toEqual([{ tenant_id: B }]);
        expect(await withoutTenant(tenants)).toEqual([]);
      }),
    );
  });

  it('puts nothing in front of what ends an aborted transaction', async () => {
    const client = await poolOf(ds).connect();
    await tenantContext(A, async () => {
      await client.query('BEGIN');
      await expect(client.query('SELECT 1/0')).rejects.toMatchObject({ code: '22012' });
      await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
      await client.query('/* by hand */ ROLLBACK');
      expect((await client.query('SELECT DISTINCT tenant_id FROM note')).rows).toEqual([{ tenant_id: A }]);
    });
    client.release();
  });

  it.each(['BEGIN', 'BEGIN; SELECT 1/0'])(
    'a client that is given back after %s is thrown away, with nobody else’s writes',
    async (left) => {
      const pool = poolOf(await old(1));
      const careless = await pool.connect();
      await tenantContext(A, () => careless.query(left)).catch(() => {});
      careless.release();
      await tenantContext(B, () => pool.query("INSERT INTO tag (name) VALUES ('kept')"));
      expect(await db.asSuperuser("DELETE FROM tag WHERE name = 'kept' RETURNING tenant_id")).toEqual([
        { tenant_id: B },
      ]);
    },
  );

  it('an admin statement does not make the rest of its transaction the admin’s', async () => {
    await ds.transaction(async (manager) => {
      const roleIn = async () =>
        (await manager.query<[{ role: string }]>('SELECT current_user AS role'))[0].role;
      expect(await tenantContext(A, roleIn)).toBe(db.roles.app);
      expect(await adminContext('probe', roleIn)).toBe(db.roles.admin);
      expect(await tenantContext(A, roleIn)).toBe(db.roles.app);
      expect(await withoutTenant(roleIn)).toBe(db.roles.app);
    });
    expect(await adminContext('probe', role)).toBe(db.roles.admin);
    expect(await tenantContext(A, role)).toBe(db.roles.app);
    expect(await role()).toBe(db.roles.app);
  });

  it('maintenance outside any context goes alone, from the first statement of a connection on', async () => {
    const fresh = await old(1);
    for (let n = 0; n < 2; n++) await expect(fresh.query('DISCARD ALL')).resolves.toBeDefined();
    const behindTheFront = tenantContext(A, () => fresh.query('DISCARD ALL'));
    await expect(behindTheFront).rejects.toMatchObject({ driverError: { code: '25001' } });
  });

  it(`${operations} random operations: no row of another tenant`, async () => {
    const operator = new pg.Pool({ connectionString: db.url(), max: 2 });
    const result = await runSchedule({
      dataSource: await old(3),
      operator,
      seed,
      operations,
      tenants: TENANTS,
      actors: 12,
    });
    await operator.end();
    expect(result.wrong).toEqual([]);
    expect(result.rows).toBeGreaterThan(operations);
  }, 120_000);
});

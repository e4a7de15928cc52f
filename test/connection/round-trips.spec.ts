import type { DataSource } from 'typeorm';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { startWire, type Wire } from '../support/wire.js';

describe('round trips, counted on the wire', () => {
  let db: ProtectedDatabase;
  let wire: Wire;
  let plain: DataSource;
  let isolated: DataSource;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    const { hostname, port } = new URL(db.url());
    wire = await startWire({ host: hostname, port: Number(port) });
    plain = await db.plain({ url: wire.url(db.url('app')), poolSize: 1 });
    isolated = await db.isolated({}, { url: wire.url(db.url('app')), poolSize: 1 });
    await db.asSuperuser(`INSERT INTO note (tenant_id, body) VALUES ('${A}', 'a'), ('${B}', 'b')`);
    await tenantContext(A, () => isolated.query('SELECT 1'));
    await plain.query('SELECT 1');
  });
  afterAll(async () => {
    await db.drop();
    await wire.close();
  });

  async function counted(work: () => Promise<unknown>): Promise<number> {
    wire.reset();
    await work();
    return wire.roundTrips();
  }

  const operations: [string, (dataSource: DataSource) => Promise<unknown>][] = [
    ['a find', (ds) => ds.getRepository(Note).find()],
    ['a raw statement without parameters', (ds) => ds.query('SELECT * FROM note')],
    ['a raw statement with parameters', (ds) => ds.query('SELECT * FROM note WHERE id > $1', [0])],
    ['a multi-statement text', (ds) => ds.query('SELECT 1; SELECT * FROM note')],
    [
      'a transaction of three statements',
      (ds) =>
        ds.transaction(async (manager) => {
          await manager.find(Note);
          await manager.query('SELECT count(*) FROM note');
          await manager.query('UPDATE note SET body = $1 WHERE id = $2', ['x', -1]);
        }),
    ],
    [
      'a nested transaction',
      (ds) => ds.transaction((outer) => outer.transaction((inner) => inner.find(Note))),
    ],
  ];

  it.each(operations)('%s costs no round trip more than plain TypeORM', async (_name, operation) => {
    const without = await counted(() => operation(plain));
    const tenant = await counted(() => tenantContext(A, () => operation(isolated)));
    const admin = await counted(() => adminContext('counting', () => operation(isolated)));
    expect(without).toBeGreaterThan(0);
    expect([tenant, admin]).toEqual([without, without]);
  });

  it('a parameterised statement is one batch with one Sync', async () => {
    const select = () => tenantContext(A, () => isolated.query('SELECT * FROM note WHERE id > $1', [0]));
    await select();
    await select();
    await counted(select);
    expect(wire.sent().join('')).toBe('BEPBDES'); // the front is prepared by now
  });

  it('a statement without parameters is one simple query', async () => {
    await counted(() => tenantContext(A, () => isolated.query('SELECT * FROM note')));
    expect(wire.sent()).toEqual(['Q']);
  });

  it('nothing is carried outside any context and outside a transaction', async () => {
    await counted(() => isolated.query('SELECT $1::int', [1]));
    expect(wire.sent().join('')).toBe('PBDES');
  });
});

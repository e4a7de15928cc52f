import { DataSource } from 'typeorm';
import {
  addTransactionalDataSource,
  deleteDataSourceByName,
  initializeTransactionalContext,
  Propagation,
  runInTransaction,
  StorageDriver,
} from 'typeorm-transactional';
import { isolateDataSource } from '../../libs/rls-tenants/src/connection/index.js';
import { tenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { NoTenantContextError } from '../../libs/rls-tenants/src/errors.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import { createNotesDatabase, letterOf, storedNotes, type TransactionalApp } from './support/notes-app.js';
import { startApp, stopApp, type When } from './support/typeorm-transactional-app.js';

initializeTransactionalContext({ storageDriver: StorageDriver.AUTO });

/** The one transaction of a data source's manager, repository and raw SQL: its number, and the owners of what it saw. */
async function workIn(dataSource: DataSource, body: string) {
  const number = async (rows: Promise<{ id: string }[]>) => (await rows)[0]!.id;
  await dataSource.getRepository(Note).save({ body });
  const numbers = [
    await number(dataSource.query('SELECT txid_current() AS id')),
    await number(dataSource.manager.query('SELECT txid_current() AS id')),
    await number(dataSource.createQueryBuilder().select('txid_current()', 'id').fromDummy().getRawMany()),
  ];
  const rows = await dataSource.getRepository(Note).find();
  return {
    transactions: new Set(numbers).size,
    owners: [...new Set(rows.map(({ tenantId }) => letterOf(tenantId)))],
  };
}

async function expectBoth(dataSource: DataSource, db: ProtectedDatabase, body: string): Promise<void> {
  const seen = await Promise.all(
    [A, B].map((tenantId) => tenantContext(tenantId, () => runInTransaction(() => workIn(dataSource, body)))),
  );
  expect(seen).toEqual([
    { transactions: 1, owners: ['A'] },
    { transactions: 1, owners: ['B'] },
  ]);
  await tenantContext(A, async () => {
    await expect(
      runInTransaction(async () => {
        await workIn(dataSource, `${body} undone`);
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
  });
  await expect(runInTransaction(() => dataSource.getRepository(Note).find())).rejects.toThrow(
    NoTenantContextError,
  );
  const stored = await storedNotes({ db });
  expect(stored.filter((note) => note.includes(body))).toEqual([`A ${body}`, `B ${body}`]);
}

afterEach(() => void deleteDataSourceByName('default'));

describe.each<When>([
  'in dataSourceFactory',
  'initialised, in dataSourceFactory',
  'after the application started',
])('typeorm-transactional gets the data source %s', (when) => {
  let started: TransactionalApp;
  beforeAll(async () => {
    started = await startApp(when);
  });
  afterAll(() => stopApp(started));

  it('and the module isolates it: both work', async () => {
    await expectBoth(started.app.get(DataSource), started.db, 'ordered');
    expect(await tenantContext(B, () => started.notes.find())).not.toContainEqual(
      expect.objectContaining({ tenantId: A }),
    );
  });
});

describe('without Nest', () => {
  let db: ProtectedDatabase;
  let dataSource: DataSource;
  beforeAll(async () => {
    db = await createNotesDatabase();
  });
  afterAll(() => db.drop());
  beforeEach(async () => {
    dataSource = await new DataSource({
      type: 'postgres',
      url: db.url('app'),
      entities: NOTES,
      poolSize: 3,
    }).initialize();
  });
  afterEach(() => dataSource.destroy());
  const isolate = () => isolateDataSource(dataSource, { tenantIdType: 'uuid', adminRole: db.roles.admin });

  it('isolated first, then given to typeorm-transactional: both work', async () => {
    addTransactionalDataSource(await isolate());
    await expectBoth(dataSource, db, 'isolated first');
  });

  it('given first, then isolated: both work', async () => {
    addTransactionalDataSource(dataSource);
    await isolate();
    await expectBoth(dataSource, db, 'given first');
  });

  it('initialised again: both work', async () => {
    addTransactionalDataSource(await isolate());
    await dataSource.destroy();
    await dataSource.initialize();
    await expectBoth(dataSource, db, 'again');
  });

  it.each([true, false])('NESTED is a transaction of its own, isolated or not (%s)', async (isolated) => {
    if (isolated) await isolate();
    addTransactionalDataSource(dataSource);
    const number = async () =>
      (await dataSource.query<{ id: string }[]>('SELECT txid_current() AS id'))[0]!.id;
    await runInTransaction(async () => {
      const outer = await number();
      expect(await runInTransaction(number, { propagation: Propagation.NESTED })).not.toBe(outer);
      expect(await number()).toBe(outer);
    });
  });
});

it('an application that never gives its data source is isolated, and its transactions fail loudly', async () => {
  const started = await startApp('never');
  await expect(async () =>
    tenantContext(A, () => started.transactions.REQUIRED(() => started.notes.find())),
  ).rejects.toThrow('No data sources defined');
  expect((await tenantContext(A, () => started.notes.raw())).map(({ tenantId }) => tenantId)).toEqual([A]);
  await stopApp(started);
});

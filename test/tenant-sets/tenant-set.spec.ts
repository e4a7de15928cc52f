import pg from 'pg';
import Cursor from 'pg-cursor';
import type { DataSource } from 'typeorm';
import {
  adminContext,
  InvalidTenantIdError,
  RlsTenantsError,
  RlsViolationError,
  TenantContext,
  tenantContext,
  tenantSetContext,
  withoutTenant,
} from '../../libs/rls-tenants/src/index.js';
import { currentTenantContext } from '../../libs/rls-tenants/src/context/tenant-context.js';
import { tenant } from '../support/notes.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import {
  Account,
  createOrganisations,
  Document,
  everythingIn,
  FAMILY,
  Invoice,
  NORTH,
  PARENT,
  seenIn,
  SHARED,
  SOUTH,
  STRANGER,
} from './support/organisations.js';

const EVERYBODY = ['parent', 'north', 'south', 'stranger'];
const FAMILY_NAMES = ['parent', 'north', 'south'];

const poolOf = (ds: DataSource) => (ds.driver as unknown as { master: pg.Pool }).master;
const asFamily = <T>(fn: () => T): T => tenantSetContext(PARENT, FAMILY, fn);

describe('a set of tenants', () => {
  let db: ProtectedDatabase;
  let dataSource: DataSource;
  beforeAll(async () => {
    db = await createOrganisations();
    dataSource = await db.isolated({ onMissingTenant: 'empty' });
  });
  afterAll(() => db.drop());
  const seen = (table: string, where?: string) => seenIn(dataSource, table, where);

  it('the control: every tenant has rows', async () => {
    for (const table of ['account', 'invoice', 'label', 'account_labels_label', 'document'])
      expect(await everythingIn(dataSource, table)).toEqual(EVERYBODY);
  });

  describe('reading', () => {
    it('sees the rows of its tenants where the table is readable by sets, and of no other tenant', async () => {
      expect(await asFamily(() => seen('account'))).toEqual(FAMILY_NAMES);
      expect(await asFamily(() => seen('account', 'WHERE id > 0'))).toEqual(FAMILY_NAMES);
      expect(await tenantSetContext(NORTH, [NORTH, STRANGER], () => seen('account'))).toEqual([
        'north',
        'stranger',
      ]);
    });

    it('sees the home tenant alone on every other table', async () => {
      expect(await asFamily(() => seen('document'))).toEqual(['parent']);
      const documents = await asFamily(() => dataSource.getRepository(Document).find());
      expect(documents.map(({ tenantId }) => tenantId)).toEqual([PARENT]);
    });

    it('a tenant of its own sees its own rows on tables that are readable by sets', async () => {
      expect(await tenantContext(NORTH, () => seen('account'))).toEqual(['north']);
      expect(await tenantContext(PARENT, () => seen('account'))).toEqual(['parent']);
      const own = await tenantContext(NORTH, () => dataSource.getRepository(Account).find());
      expect(own.map(({ tenantId }) => tenantId)).toEqual([NORTH]);
    });

    it('nobody sees nothing', async () => {
      expect(await withoutTenant(() => seen('account'))).toEqual([]);
    });

    it('repositories, relations, joins and many-to-many links see the set', async () => {
      const accounts = await asFamily(() =>
        dataSource.getRepository(Account).find({
          relations: { invoices: true, labels: true },
          order: { tenantId: 'ASC' },
        }),
      );
      expect(accounts.map((account) => account.tenantId)).toEqual(FAMILY);
      expect(accounts.map(({ invoices }) => invoices.map(({ amount }) => amount))).toEqual([
        [10],
        [20],
        [30],
      ]);
      expect(accounts.map(({ labels }) => labels.map(({ name }) => name))).toEqual([
        ['parent'],
        ['north'],
        ['south'],
      ]);
      const joined = await asFamily(() =>
        dataSource
          .createQueryBuilder(Invoice, 'invoice')
          .innerJoinAndSelect('invoice.account', 'account')
          .orderBy('invoice.amount')
          .getMany(),
      );
      expect(joined.map(({ account }) => account.tenantId)).toEqual(FAMILY);
    });

    it('raw SQL, streams and cursors see the set', async () => {
      const streamed = await asFamily(async () => {
        const runner = dataSource.createQueryRunner();
        try {
          return await (await runner.stream('SELECT tenant_id FROM account ORDER BY tenant_id')).toArray();
        } finally {
          await runner.release();
        }
      });
      expect(streamed).toEqual(FAMILY.map((tenant_id) => ({ tenant_id })));
      const read = await asFamily(async () => {
        const client = await poolOf(dataSource).connect();
        const cursor = client.query(new Cursor('SELECT tenant_id FROM account ORDER BY tenant_id'));
        const rows = await cursor.read(10);
        await cursor.close();
        client.release();
        return rows;
      });
      expect(read).toEqual(FAMILY.map((tenant_id) => ({ tenant_id })));
    });

    it('the query result cache keeps sets and tenants apart', async () => {
      await db.as(
        'migrator',
        `CREATE TABLE "query-result-cache" (id serial PRIMARY KEY, identifier varchar, time bigint NOT NULL, duration integer NOT NULL, query text NOT NULL, result text NOT NULL);
         GRANT ALL ON "query-result-cache" TO ${db.roles.app};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${db.roles.app}`,
      );
      // Without auto-scope the SQL is the same text for all of them.
      const cached = await db.isolated(
        { autoScope: false },
        { cache: { type: 'database', duration: 60_000 } },
      );
      const find = async () => {
        const found = await cached.getRepository(Account).find({ cache: true, order: { tenantId: 'ASC' } });
        return found.map(({ name }) => name);
      };
      for (let round = 0; round < 2; round++) {
        expect(await asFamily(find)).toEqual(FAMILY_NAMES);
        expect(await tenantContext(PARENT, find)).toEqual(['parent']);
        expect(await tenantSetContext(PARENT, [PARENT, SOUTH], find)).toEqual(['parent', 'south']);
      }
    });
  });

  describe('writing', () => {
    it('inserts for the home tenant', async () => {
      const saved = await asFamily(() => dataSource.getRepository(Account).save({ name: 'new' }));
      expect(saved.tenantId).toBe(PARENT);
      await asFamily(() => dataSource.query("INSERT INTO account (name) VALUES ('raw')"));
      const rows = await db.asSuperuser("SELECT tenant_id, name FROM account WHERE name IN ('new', 'raw')");
      expect(rows.map(({ tenant_id }) => tenant_id)).toEqual([PARENT, PARENT]);
      await asFamily(() => dataSource.query("DELETE FROM account WHERE name IN ('new', 'raw')"));
    });

    it("refuses to insert a child's row: before any I/O where TypeORM writes it, by the policy in raw SQL", async () => {
      await expect(
        asFamily(() => dataSource.getRepository(Account).save({ tenantId: NORTH, name: 'planted' })),
      ).rejects.toThrow(RlsViolationError);
      await expect(
        asFamily(() =>
          dataSource.query('INSERT INTO account (tenant_id, name) VALUES ($1, $2)', [NORTH, 'planted']),
        ),
      ).rejects.toThrow(RlsViolationError);
      expect(await db.asSuperuser("SELECT FROM account WHERE name = 'planted'")).toEqual([]);
    });

    it("changes no child's row, which it sees", async () => {
      const results = await asFamily(async () => {
        const updated = await dataSource.query<[unknown, number]>(
          "UPDATE account SET name = 'x' WHERE tenant_id = $1",
          [NORTH],
        );
        const deleted = await dataSource.query<[unknown, number]>(
          'DELETE FROM invoice WHERE tenant_id = $1',
          [NORTH],
        );
        const built = await dataSource.getRepository(Account).update({ tenantId: NORTH }, { name: 'x' });
        const removed = await dataSource.getRepository(Invoice).delete({ amount: 20 });
        return [updated[1], deleted[1], built.affected, removed.affected];
      });
      expect(results).toEqual([0, 0, 0, 0]);
      expect(await tenantContext(NORTH, () => dataSource.getRepository(Account).find())).toEqual([
        { id: 2, tenantId: NORTH, name: 'north' },
      ]);
      expect(await everythingIn(dataSource, 'invoice')).toEqual(EVERYBODY);
    });

    it("refuses to save a child's row that it loaded, and leaves it where it removes it", async () => {
      const refused = asFamily(async () => {
        const account = await dataSource.getRepository(Account).findOneByOrFail({ name: 'north' });
        account.name = 'mine';
        return dataSource.getRepository(Account).save(account);
      });
      await expect(refused).rejects.toThrow(/tenant ".*2"'s, which tenant ".*1" reads and does not write/);
      await asFamily(async () => {
        const invoice = await dataSource.getRepository(Invoice).findOneByOrFail({ amount: 20 });
        await dataSource.getRepository(Invoice).remove(invoice);
      });
      expect(await everythingIn(dataSource, 'invoice')).toEqual(EVERYBODY);
    });

    it("moves no child's row to the home tenant, nor an own one to a child", async () => {
      const moves = asFamily(async () => {
        const [, taken] = await dataSource.query<[unknown, number]>(
          'UPDATE account SET tenant_id = $1 WHERE tenant_id = $2',
          [PARENT, NORTH],
        );
        return taken;
      });
      expect(await moves).toBe(0);
      await expect(
        asFamily(() =>
          dataSource.query('UPDATE account SET tenant_id = $1 WHERE tenant_id = $2', [NORTH, PARENT]),
        ),
      ).rejects.toThrow(RlsViolationError);
      expect(await everythingIn(dataSource, 'account')).toEqual(EVERYBODY);
    });

    it('locks rows of the home tenant only', async () => {
      const locked = await dataSource.transaction((manager) =>
        asFamily(() => seenIn(manager, '(SELECT * FROM account FOR UPDATE) AS locked')),
      );
      expect(locked).toEqual(['parent']);
    });

    it('writes its own rows as ever', async () => {
      const update = () => dataSource.getRepository(Account).update({ name: 'parent' }, { name: 'parent' });
      expect((await asFamily(update)).affected).toBe(1);
    });
  });

  describe('is left behind by', () => {
    const states: [string, string[], (fn: () => Promise<string[]>) => Promise<string[]>][] = [
      ['a context of the home tenant inside of it', ['parent'], (fn) => tenantContext(PARENT, fn)],
      ["a child's context", ['north'], (fn) => tenantContext(NORTH, fn)],
      ["a stranger's context", ['stranger'], (fn) => tenantContext(STRANGER, fn)],
      ['nobody', [], (fn) => withoutTenant(fn)],
      ['a smaller set', ['parent', 'south'], (fn) => tenantSetContext(PARENT, [PARENT, SOUTH], fn)],
      ['the admin', EVERYBODY, (fn) => adminContext('test', fn)],
    ];

    it.each(states)('%s, as a statement of its own', async (_name, expected, enter) => {
      const [before, inside, after] = await asFamily(async () => [
        await seen('account'),
        await enter(() => seen('account')),
        await seen('account'),
      ]);
      expect([before, inside, after]).toEqual([FAMILY_NAMES, expected, FAMILY_NAMES]);
    });

    it.each(states)('%s, in the same transaction', async (_name, expected, enter) => {
      const result = await asFamily(() =>
        dataSource.transaction(async (manager) => [
          await seenIn(manager, 'account'),
          await enter(() => seenIn(manager, 'account')),
          // With values: the extended protocol.
          await enter(() => seenIn(manager, 'account', 'WHERE id > 0')),
          await seenIn(manager, 'account'),
        ]),
      );
      expect(result).toEqual([FAMILY_NAMES, expected, expected, FAMILY_NAMES]);
    });

    it.each(states)('%s, after a savepoint is rolled back', async (_name, expected, enter) => {
      const result = await dataSource.transaction(async (manager) => {
        const failed = asFamily(() =>
          manager.transaction(async (inner) => {
            await seenIn(inner, 'account');
            await inner.query('SELECT 1/0');
          }),
        );
        await expect(failed).rejects.toThrow('division by zero');
        await asFamily(() => seenIn(manager, 'account'));
        return enter(() => seenIn(manager, 'account'));
      });
      expect(result).toEqual(expected);
    });

    it('each other, where sets work at the same time on one pool', async () => {
      const sets: [string, string[], string[]][] = [
        [PARENT, FAMILY, FAMILY_NAMES],
        [STRANGER, [STRANGER, SOUTH], ['south', 'stranger']],
        [NORTH, [NORTH], ['north']],
      ];
      const seenBy = await Promise.all(
        Array.from({ length: 30 }, (_, n) => sets[n % 3]!).map(([home, set]) =>
          tenantSetContext(home, set, () => seen('account')),
        ),
      );
      expect(seenBy).toEqual(Array.from({ length: 30 }, (_, n) => sets[n % 3]![2]));
    });

    it('what is on the wire after an admin statement in between', async () => {
      const result = await dataSource.transaction(async (manager) => {
        await adminContext('test', () => seenIn(manager, 'account'));
        const family = await asFamily(() => seenIn(manager, 'account'));
        await adminContext('test', () => seenIn(manager, 'account'));
        return [family, await tenantContext(NORTH, () => seenIn(manager, 'account'))];
      });
      expect(result).toEqual([FAMILY_NAMES, ['north']]);
    });
  });

  describe('refuses, without running the function,', () => {
    const context = () => new TenantContext({ tenantIdType: 'uuid', resolveTenant: () => null });
    const cases: [string, unknown, unknown, new (...args: never[]) => Error][] = [
      ['an empty set', PARENT, [], RlsTenantsError],
      ['no set', PARENT, undefined, RlsTenantsError],
      ['a text for a set', PARENT, PARENT, RlsTenantsError],
      ['a tenant that is there twice', PARENT, [PARENT, NORTH, NORTH], RlsTenantsError],
      ['a home tenant that is not in the set', PARENT, [NORTH, SOUTH], RlsTenantsError],
      [
        'more than 100 tenants',
        tenant(1),
        Array.from({ length: 101 }, (_, n) => tenant(n + 1)),
        RlsTenantsError,
      ],
      ['a set with a hole', PARENT, Object.assign([PARENT], { 2: NORTH }), InvalidTenantIdError],
      ['an id that is none', PARENT, [PARENT, ''], InvalidTenantIdError],
      ['null as an id', PARENT, [PARENT, null], InvalidTenantIdError],
      ['no home tenant', undefined, [PARENT], InvalidTenantIdError],
    ];

    it.each(cases)('%s', (_name, home, set, error) => {
      const run = jest.fn();
      expect(() => tenantSetContext(home as string, set as string[], run)).toThrow(error);
      expect(() => context().runForSet(home as string, set as string[], run)).toThrow(error);
      expect(run).not.toHaveBeenCalled();
    });

    it('one tenant in two spellings, by TenantContext', () => {
      const upper = 'ABCDEF00-0000-4000-8000-000000000001';
      expect(() => context().runForSet(upper, [upper, upper.toLowerCase()], jest.fn())).toThrow(/twice/);
      expect(() => context().runForSet(PARENT, [PARENT, 'north'], jest.fn())).toThrow(InvalidTenantIdError);
    });

    it('a hundred tenants are a set', () => {
      const set = Array.from({ length: 100 }, (_, n) => tenant(n + 1));
      expect(tenantSetContext(tenant(1), set, () => currentTenantContext())).toEqual({
        kind: 'tenant',
        tenantId: tenant(1),
        readableTenantIds: set,
      });
    });

    it('the first statement, for ids that are not of the data source, before any I/O', async () => {
      const hostile = "x,'); DROP TABLE account; --";
      await expect(tenantSetContext(PARENT, [PARENT, hostile], () => seen('account'))).rejects.toThrow(
        InvalidTenantIdError,
      );
      await expect(
        tenantSetContext(PARENT, [PARENT, hostile], () => dataSource.getRepository(Account).find()),
      ).rejects.toThrow(InvalidTenantIdError);
      await expect(tenantSetContext(PARENT, [PARENT, SHARED], () => seen('account'))).rejects.toThrow(
        InvalidTenantIdError,
      );
    });
  });

  it('is what the caller passed, whatever becomes of the array', async () => {
    const set = [PARENT, NORTH];
    const rows = tenantSetContext(PARENT, set, async () => {
      set.push(STRANGER);
      await Promise.resolve();
      return seen('account');
    });
    expect(await rows).toEqual(['parent', 'north']);
  });

  it('TenantContext tells the home tenant', () => {
    const context = new TenantContext({ tenantIdType: 'uuid', resolveTenant: () => null });
    const told = context.runForSet(PARENT, FAMILY, () => [
      context.tenantId,
      context.requireTenantId(),
      context.current(),
    ]);
    expect(told).toEqual([PARENT, PARENT, { kind: 'tenant', tenantId: PARENT, readableTenantIds: FAMILY }]);
  });
});

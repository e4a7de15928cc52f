import { Column, DataSource, Entity, PrimaryGeneratedColumn } from 'typeorm';
import {
  adminContext,
  tenantContext,
  tenantSetContext,
  withoutTenant,
  type TenantIdType,
} from '../../libs/rls-tenants/src/index.js';
import { TenantColumn, TenantScoped } from '../../libs/rls-tenants/src/entities/index.js';
import { createSealedDatabase, type SealedDatabase } from '../support/sealed-database.js';

type Ids = [home: string, child: string, shared: string, stranger: string];

const IDS: Record<TenantIdType, Ids> = {
  uuid: [1, 2, 3, 4].map((n) => `00000000-0000-4000-8000-00000000000${n}`) as Ids,
  integer: ['1', '-2', '2147483647', '12'],
  bigint: ['1', '-2', '9223372036854775807', '12'],
  // A text id may hold what separates, quotes and closes lists and seals elsewhere.
  text: ['a,b', 'a', '{a,"b"}', "o'neil\\.1.k1"],
};

describe.each(Object.entries(IDS) as [TenantIdType, Ids][])(
  'sealed tenants of type %s',
  (type, [home, child, shared, stranger]) => {
    @Entity('diary')
    @TenantScoped()
    class Diary {
      @PrimaryGeneratedColumn() id!: number;
      @TenantColumn({ type }) tenantId!: string;
      @Column({ type: 'text' }) body!: string;
    }
    @Entity('account')
    @TenantScoped({ readableBySet: true })
    class Account {
      @PrimaryGeneratedColumn() id!: number;
      @TenantColumn({ type }) tenantId!: string;
      @Column({ type: 'text' }) body!: string;
    }
    @Entity('template')
    @TenantScoped({ sharedTenant: shared })
    class Template {
      @PrimaryGeneratedColumn() id!: number;
      @TenantColumn({ type }) tenantId!: string;
      @Column({ type: 'text' }) body!: string;
    }
    @Entity('ledger')
    @TenantScoped({ readableBySet: true, sharedTenant: shared })
    class Ledger {
      @PrimaryGeneratedColumn() id!: number;
      @TenantColumn({ type }) tenantId!: string;
      @Column({ type: 'text' }) body!: string;
    }
    const entities = [Diary, Account, Template, Ledger];
    const everybody = [home, child, shared, stranger];
    let db: SealedDatabase;
    let dataSource: DataSource;
    beforeAll(async () => {
      db = await createSealedDatabase(entities, type);
      for (const id of everybody)
        for (const table of ['diary', 'account', 'template', 'ledger'])
          await db.asSuperuser(`INSERT INTO ${table} (tenant_id, body) VALUES ($1, $2)`, [id, id]);
      dataSource = await db.isolated({ onMissingTenant: 'empty' });
    });
    afterAll(() => db.drop());

    /** Whose rows are seen of each table, by raw SQL with and without values, and by TypeORM. */
    const seen = async (): Promise<Record<string, string[]>> => {
      const all: Record<string, string[]> = {};
      for (const entity of entities) {
        const table = entity.name.toLowerCase();
        const bodies = (rows: { body: string }[]) => rows.map(({ body }) => body).sort();
        all[table] = bodies(await dataSource.query(`SELECT body FROM ${table}`));
        expect(bodies(await dataSource.query(`SELECT body FROM ${table} WHERE id > $1`, [0]))).toEqual(
          all[table],
        );
        expect(bodies(await dataSource.getRepository<Diary>(entity).find())).toEqual(all[table]);
      }
      return all;
    };
    const sees = (own: string[], set = own) => ({
      diary: own,
      account: set.toSorted(),
      template: [...own, shared].sort(),
      ledger: [...set, shared].sort(),
    });

    it('read what they should, and nothing else', async () => {
      expect(await tenantContext(home, seen)).toEqual(sees([home]));
      expect(await tenantContext(child, seen)).toEqual(sees([child]));
      expect(await tenantContext(stranger, seen)).toEqual(sees([stranger]));
      expect(await tenantSetContext(home, [home, child], seen)).toEqual(sees([home], [home, child]));
      expect(await tenantSetContext(stranger, [home, stranger, child], seen)).toEqual(
        sees([stranger], [home, child, stranger]),
      );
      expect(await withoutTenant(seen)).toEqual({ diary: [], account: [], template: [], ledger: [] });
    });

    it('control: the admin reads all of it', async () => {
      const sorted = everybody.toSorted();
      expect(await adminContext('control', seen)).toEqual({
        diary: sorted,
        account: sorted,
        template: sorted,
        ledger: sorted,
      });
    });

    it('write their own rows, and nobody else’s', async () => {
      const write = async (id: string) => {
        for (const entity of entities) {
          const table = entity.name.toLowerCase();
          await dataSource.query(`INSERT INTO ${table} (tenant_id, body) VALUES ($1, 'new')`, [id]);
          const [rows] = await dataSource.query<[unknown[]]>(
            `DELETE FROM ${table} WHERE body = 'new' RETURNING id`,
          );
          expect(rows).toHaveLength(1);
        }
      };
      const refused = { name: 'RlsViolationError' };
      await tenantContext(home, () => write(home));
      await tenantSetContext(home, [home, child], async () => {
        await write(home);
        for (const other of [child, shared, stranger])
          for (const entity of entities)
            await expect(
              dataSource.query(
                `INSERT INTO ${entity.name.toLowerCase()} (tenant_id, body) VALUES ($1, 'new')`,
                [other],
              ),
            ).rejects.toMatchObject(refused);
        const [updated] = await dataSource.query<[{ body: string }[]]>(
          'UPDATE ledger SET body = body RETURNING body',
        );
        expect(updated).toEqual([{ body: home }]);
      });
    });

    it('leave no set behind in the transaction for whoever is next', async () => {
      await dataSource.transaction(async (manager) => {
        const account = async () =>
          (await manager.query<{ body: string }[]>('SELECT body FROM account'))
            .map(({ body }) => body)
            .sort();
        expect(await tenantSetContext(home, [home, child], account)).toEqual([home, child].sort());
        expect(await tenantContext(home, account)).toEqual([home]);
        await manager.query('SAVEPOINT here');
        expect(await tenantSetContext(child, [child, stranger], account)).toEqual([child, stranger].sort());
        await manager.query('ROLLBACK TO SAVEPOINT here');
        expect(await tenantContext(stranger, account)).toEqual([stranger]);
        expect(await withoutTenant(account)).toEqual([]);
      });
    });

    it('widen no set: a list that another seal was made for is refused', async () => {
      const separator = type === 'text' ? '\n' : ',';
      const nested = (list: string) =>
        tenantContext(home, () =>
          dataSource.query<{ found: string }[]>(
            `SELECT query_to_xml('SELECT body FROM account', true, false, '')::text AS found
               FROM (SELECT set_config('rls.readable_tenants', $1, true) OFFSET 0) AS _`,
            [list],
          ),
        );
      const [own] = await nested('');
      expect(own!.found.match(/<body>/g)).toHaveLength(1); // control: the statement within the statement runs
      await expect(nested(separator + child)).rejects.toMatchObject({
        name: 'RlsViolationError',
        cause: { message: expect.stringMatching(/^Seal refused: it was made for another tenant/) },
      });
    });
  },
);

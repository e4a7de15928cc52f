import { Column, DataSource, Entity, PrimaryGeneratedColumn } from 'typeorm';
import { tenantContext, tenantSetContext, type TenantIdType } from '../../libs/rls-tenants/src/index.js';
import { TenantColumn, TenantScoped } from '../../libs/rls-tenants/src/entities/index.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

const IDS: Record<TenantIdType, [string, string, string, string]> = {
  uuid: [1, 2, 3, 4].map((n) => `00000000-0000-4000-8000-00000000000${n}`) as [
    string,
    string,
    string,
    string,
  ],
  integer: ['1', '-2', '2147483647', '12'],
  bigint: ['1', '-2', '9223372036854775807', '12'],
  // A text id may hold what separates, quotes and closes lists elsewhere.
  text: ['a,b', 'a', '{a,"b"}', "o'neil\\"],
};

describe.each(Object.entries(IDS) as [TenantIdType, [string, string, string, string]][])(
  'sets and shared rows of tenants of type %s',
  (type, [home, child, shared, stranger]) => {
    @Entity('ledger')
    @TenantScoped({ readableBySet: true, sharedTenant: shared })
    class Ledger {
      @PrimaryGeneratedColumn() id!: number;
      @TenantColumn({ type }) tenantId!: string;
      @Column({ type: 'text' }) body!: string;
    }
    let db: ProtectedDatabase;
    let dataSource: DataSource;
    beforeAll(async () => {
      db = await createProtectedDatabase([Ledger], type);
      for (const id of [home, child, shared, stranger])
        await db.asSuperuser('INSERT INTO ledger (tenant_id, body) VALUES ($1, $2)', [id, id]);
      dataSource = await db.isolated();
    });
    afterAll(() => db.drop());

    const seen = async () => {
      const raw = await dataSource.query<{ body: string }[]>('SELECT body FROM ledger');
      const found = await dataSource.getRepository(Ledger).find();
      const bodies = raw.map(({ body }) => body).sort();
      expect(found.map(({ body }) => body).sort()).toEqual(bodies);
      return bodies;
    };

    it('read what they should, and nothing else', async () => {
      expect(await tenantContext(home, seen)).toEqual([home, shared].sort());
      expect(await tenantContext(child, seen)).toEqual([child, shared].sort());
      expect(await tenantContext(stranger, seen)).toEqual([stranger, shared].sort());
      expect(await tenantSetContext(home, [home, child], seen)).toEqual([home, child, shared].sort());
      expect(await tenantSetContext(stranger, [home, stranger], seen)).toEqual(
        [home, shared, stranger].sort(),
      );
    });
  },
);

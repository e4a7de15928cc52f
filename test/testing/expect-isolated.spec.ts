import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { isolateDataSource } from '../../libs/rls-tenants/src/connection/index.js';
import { TENANT_ID_TYPES } from '../../libs/rls-tenants/src/context/tenant-id.js';
import {
  asTenant,
  expectIsolated,
  tenantScopedEntities,
  type TestDatabase,
} from '../../libs/rls-tenants/src/testing/index.js';
import {
  Booking,
  Customer,
  documentOf,
  Invoice,
  Label,
  Organisation,
  Room,
  Shipment,
  SHOP,
} from './support/entities.js';
import { KIT_ROLES, kitDatabase } from './support/kit-database.js';

const READS = [
  'reads the row with find()',
  'reads the row by its primary key',
  'counts the row',
  'reads the row with a query builder',
  'reads the row with raw SQL',
  'locks the row with SELECT … FOR UPDATE',
  'reads the row without a tenant context',
  'reads the row with an empty tenant setting',
];
const INSERTS = [
  'inserts a row for the other tenant with raw SQL',
  'inserts a row for the other tenant as an entity',
];
const UPDATES = [
  'updates the row with raw SQL',
  'updates the row with a query builder',
  'takes the row with an UPDATE without WHERE',
  'moves an own row to the other tenant with raw SQL',
  'moves own rows to the other tenant with an UPDATE without WHERE',
  'moves an own row to the other tenant with a query builder',
];
const SAVE = 'moves an own row to the other tenant as an entity';
const DELETES = [
  'deletes the row with raw SQL',
  'deletes the row with a repository',
  'deletes the row with a DELETE without WHERE',
];
const overwrites = (key: string) => `overwrites the row with INSERT … ON CONFLICT (${key}) DO UPDATE`;
const links = (joinTable: string) => [
  `links an own row to one of the other tenant in join table "${joinTable}"`,
  `reads links of the row in join table "${joinTable}"`,
  `deletes links of the row in join table "${joinTable}"`,
];

describe('expectIsolated() on protected entities', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await kitDatabase(SHOP);
  });
  afterAll(() => database?.destroy());

  async function asSuperuser<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> {
    const client = new pg.Client({ connectionString: database.url('superuser') });
    await client.connect();
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  it('tries everything on an entity with every kind of relation, unique keys and soft deletes', async () => {
    expect(await expectIsolated(Invoice, database)).toEqual([
      ...READS,
      ...INSERTS,
      ...UPDATES,
      SAVE,
      ...DELETES,
      'deletes the row softly',
      overwrites('id'),
      overwrites('shipmentId'),
      overwrites('tenant_id, id'),
      overwrites('tenant_id, number'),
      'refers to a row of the other tenant through "customer"',
      'refers to a row of the other tenant through "replaces"',
      'refers to a row of the other tenant through "shipment"',
      ...links('invoice_labels_label'),
    ]);
  });

  it('passes an entity whose tenant column refers to the tenants’ own table', async () => {
    expect(await expectIsolated(Customer, database)).toEqual(
      expect.arrayContaining([...READS, ...INSERTS, ...UPDATES, ...DELETES]),
    );
  });

  it('passes an entity with nothing but a key and a tenant', async () => {
    expect(await expectIsolated(Shipment, database)).toContain('updates the row with raw SQL');
  });

  it('passes composite primary keys, and foreign keys that name the tenant column', async () => {
    expect(await expectIsolated(Room, database)).toContain(overwrites('tenant_id, number'));
    const attacks = await expectIsolated(Booking, database);
    expect(attacks).toContain('refers to a row of the other tenant through "room"');
    // It would be an insert.
    expect(attacks).not.toContain(SAVE);
  });

  it('attacks a join table without a tenant column', async () => {
    expect(await expectIsolated(Label, database)).toEqual(
      expect.arrayContaining(links('label_customers_customer')),
    );
  });

  it('is for each tenant-scoped entity of a data source, join tables and global tables aside', async () => {
    const entities = tenantScopedEntities(database.dataSource);
    expect(entities).toEqual([Customer, Shipment, Label, Invoice, Room, Booking]);
    for (const entity of entities) expect(await expectIsolated(entity, database)).not.toEqual([]);
  });

  it('leaves no row behind', async () => {
    const tables = [
      'organisation',
      'customer',
      'currency',
      'invoice',
      'shipment',
      'label',
      'room',
      'booking',
    ];
    const rows = await asSuperuser<{ left: number }>(
      `SELECT count(*)::int AS left FROM (${tables.map((table) => `SELECT FROM ${table}`).join(' UNION ALL ')}) AS rows`,
    );
    expect(rows).toEqual([{ left: 0 }]);
  });

  it('works inside of another context, and keeps it', async () => {
    const id = randomUUID();
    await asTenant(id, async () => {
      await expectIsolated(Shipment, database);
      await database.dataSource.getRepository(Shipment).insert({});
    });
    expect(await asSuperuser('DELETE FROM shipment RETURNING tenant_id')).toEqual([{ tenant_id: id }]);
  });

  it('takes values and rows that the caller makes in the tenant’s context', async () => {
    const made: string[] = [];
    await expectIsolated(Invoice, {
      ...database,
      make: async (tenantId, manager) => {
        made.push(tenantId);
        await manager.insert(Organisation, { id: tenantId, name: 'made' });
        const customer = await manager.save(manager.create(Customer, { name: 'made' }));
        expect(customer.tenantId).toBe(tenantId);
        return { number: `of ${tenantId}`, customer };
      },
    });
    expect(new Set(made).size).toBe(2);
    expect(await asSuperuser('SELECT FROM customer')).toEqual([]);
  });

  it('says what the caller must give', async () => {
    await expect(
      expectIsolated(Invoice, { ...database, make: () => ({ status: 'no such' }) }),
    ).rejects.toThrow(
      /Nothing was proven: a row of "Invoice" for tenant .* could not be inserted: invalid input value for enum.*\n.*make:/s,
    );
  });

  it('takes two tenants that are there', async () => {
    const tenants = [randomUUID(), randomUUID()] as const;
    await asSuperuser(`INSERT INTO organisation VALUES ('${tenants[0]}', 'a'), ('${tenants[1]}', 'b')`);
    expect(await expectIsolated(Customer, { ...database, tenants })).toContain('reads the row with raw SQL');
    await asSuperuser('DELETE FROM organisation');
  });

  it('does not try what the app role has no privilege for', async () => {
    await asSuperuser(`REVOKE UPDATE, DELETE ON room FROM ${KIT_ROLES.appRole}`);
    const attacks = await expectIsolated(Room, database);
    expect(attacks).toEqual([...READS.filter((way) => !way.startsWith('locks')), ...INSERTS]);
    await asSuperuser(`REVOKE INSERT ON room FROM ${KIT_ROLES.appRole}`);
    expect(await expectIsolated(Room, database)).toEqual(READS.filter((way) => !way.startsWith('locks')));
    await asSuperuser(`GRANT INSERT, UPDATE, DELETE ON room TO ${KIT_ROLES.appRole}`);
  });

  describe('with a result cache', () => {
    const CACHE = 'reads the row from the result cache';
    let cached: DataSource;

    beforeAll(async () => {
      await asSuperuser(
        `CREATE TABLE "query-result-cache" (id serial PRIMARY KEY, identifier varchar, time bigint NOT NULL, duration integer NOT NULL, query text NOT NULL, result text NOT NULL);
         GRANT ALL ON "query-result-cache" TO ${KIT_ROLES.appRole}, ${KIT_ROLES.adminRole};
         GRANT USAGE ON SEQUENCE "query-result-cache_id_seq" TO ${KIT_ROLES.appRole}, ${KIT_ROLES.adminRole}`,
      );
      const options = { type: 'postgres', url: database.url('app'), entities: SHOP, cache: true } as const;
      cached = await new DataSource(options).initialize();
      await isolateDataSource(cached, { tenantIdType: 'uuid', adminRole: KIT_ROLES.adminRole });
    });
    afterAll(() => cached?.destroy());

    it('attacks it', async () => {
      expect(await expectIsolated(Shipment, { dataSource: cached })).toContain(CACHE);
      expect(await asSuperuser('SELECT FROM "query-result-cache"')).toEqual([]);
    });

    it('fails where the cache is not isolated', async () => {
      const isolated = cached.queryResultCache!;
      // The provider without what isolation put in front of it.
      cached.queryResultCache = Object.create(Object.getPrototypeOf(isolated) as object, {
        ...Object.getOwnPropertyDescriptors(isolated),
        getFromCache: { value: Object.getPrototypeOf(isolated).getFromCache },
        storeInCache: { value: Object.getPrototypeOf(isolated).storeInCache },
      }) as typeof isolated;
      try {
        await expect(expectIsolated(Shipment, { dataSource: cached })).rejects.toThrow(
          /tenant:\n  - reads the row from the result cache\nCompare/,
        );
      } finally {
        cached.queryResultCache = isolated;
      }
    });

    it('fails where nothing is cached', async () => {
      const { storeInCache } = cached.queryResultCache!;
      cached.queryResultCache!.storeInCache = async () => {};
      try {
        await expect(expectIsolated(Shipment, { dataSource: cached })).rejects.toThrow(
          `${CACHE}: nothing was proven, because a tenant cannot do that to its own row either`,
        );
      } finally {
        cached.queryResultCache!.storeInCache = storeInCache;
      }
    });
  });
});

describe.each(TENANT_ID_TYPES)('expectIsolated() with %s tenants', (tenantIdType) => {
  it('passes', async () => {
    const Document = documentOf(tenantIdType);
    const database = await kitDatabase([Document], { tenantIdType });
    try {
      expect(await expectIsolated(Document, database)).toEqual([
        ...READS,
        ...INSERTS,
        ...UPDATES,
        SAVE,
        ...DELETES,
        overwrites('id'),
      ]);
    } finally {
      await database.destroy();
    }
  });
});

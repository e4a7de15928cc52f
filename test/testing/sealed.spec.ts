import { randomBytes } from 'node:crypto';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Test } from '@nestjs/testing';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { fromHeader, RlsTenantsModule } from '../../libs/rls-tenants/src/index.js';
import {
  installSeal,
  protectTable,
  RlsMigration,
  runSql,
  sealTable,
} from '../../libs/rls-tenants/src/migrations/index.js';
import {
  asAdmin,
  asTenant,
  createTestDatabase,
  expectBlockedWithoutContext,
  expectIsolated,
  tenantScopedEntities,
  type TestDatabase,
} from '../../libs/rls-tenants/src/testing/index.js';
import { A, B } from '../support/notes.js';
import { Customer, Invoice, Label, Organisation, Room, SHOP } from './support/entities.js';
import { kitDatabase, KIT_ROLES } from './support/kit-database.js';
import { Folder, NOTES } from './support/notes.js';

// Roles of their own: a member of the admin role in one database is one in all of the server.
const ROLES = {
  appRole: 'kit_sealed_app',
  migrationRole: 'kit_sealed_migrator',
  adminRole: 'kit_sealed_admin',
  adminLogin: 'kit_sealed_admin_login',
};
const newSeal = () => ({ keys: [{ id: 'kit', secret: randomBytes(32) }] });

const SEAL_ATTACKS = [
  'reads the row by setting its tenant',
  'reads the row by setting its tenant, without a seal',
  `reads the row as role "${ROLES.adminRole}"`,
  'updates the row by setting its tenant',
];

async function asSuperuser<Row extends pg.QueryResultRow>(
  database: TestDatabase,
  sql: string,
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: database.url('superuser') });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('a sealed test database, made from entities', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await kitDatabase(SHOP, { ...ROLES, seal: newSeal() });
  });
  afterAll(() => database?.destroy());

  it('isolates each entity, also from who may run any SQL', async () => {
    const entities = tenantScopedEntities(database.dataSource);
    expect(entities).toHaveLength(6);
    for (const entity of entities)
      expect(await expectIsolated(entity, database)).toEqual(expect.arrayContaining(SEAL_ATTACKS));
  });

  it('tries what an unsealed one is tried with as well', async () => {
    const plain = await kitDatabase(SHOP);
    try {
      for (const entity of [Invoice, Label, Room])
        expect(await expectIsolated(entity, database)).toEqual([
          ...(await expectIsolated(entity, plain)),
          ...SEAL_ATTACKS,
        ]);
    } finally {
      await plain.destroy();
    }
  });

  it('serves admin contexts by a login of their own: the app role cannot become the admin role', async () => {
    await asTenant(A, () => database.dataSource.query('SELECT 1'));
    await asAdmin(() => database.dataSource.getRepository(Organisation).insert({ id: A, name: 'Acme' }));
    await asTenant(A, () => database.dataSource.getRepository(Customer).insert({ name: 'Carla' }));

    expect(await asAdmin(() => database.dataSource.getRepository(Customer).count())).toBe(1);
    expect(await asTenant(B, () => database.dataSource.getRepository(Customer).count())).toBe(0);
    const [row] = await asSuperuser(
      database,
      `SELECT pg_has_role('${ROLES.appRole}', '${ROLES.adminRole}', 'MEMBER') AS member`,
    );
    expect(row).toEqual({ member: false });
  });

  it('blocks what has no tenant', async () => {
    await expectBlockedWithoutContext(() => database.dataSource.getRepository(Customer).find(), {
      tenantId: A,
    });
  });

  it('leaves nothing behind', async () => {
    const counts = () =>
      asSuperuser(
        database,
        'SELECT (SELECT count(*) FROM invoice) AS invoices, (SELECT count(*) FROM customer) AS customers, (SELECT count(*) FROM organisation) AS tenants',
      );
    const before = await counts();
    await expectIsolated(Invoice, database);
    expect(await counts()).toEqual(before);
  });

  it('takes a tenants’ table that the app role may neither write nor read', async () => {
    await asSuperuser(database, `REVOKE SELECT, INSERT, DELETE ON organisation FROM ${ROLES.appRole}`);
    const count = () => asSuperuser(database, 'SELECT count(*) FROM organisation');
    const before = await count();
    try {
      expect(await expectIsolated(Customer, database)).toEqual(expect.arrayContaining(SEAL_ATTACKS));
      expect(await count()).toEqual(before);
    } finally {
      await asSuperuser(database, `GRANT SELECT, INSERT, DELETE ON organisation TO ${ROLES.appRole}`);
    }
  });

  it('takes a table that is only added to: what needs a row out of the way is not tried, inserts are', async () => {
    await asSuperuser(database, `REVOKE UPDATE, DELETE ON shipment, room FROM ${ROLES.appRole}`);
    try {
      const tried = await expectIsolated(Room, database);
      expect(tried).toEqual(
        expect.arrayContaining([
          'inserts a row for the other tenant with raw SQL',
          'inserts a row for the other tenant as an entity',
          'reads the row by setting its tenant',
        ]),
      );
      expect(tried.join()).not.toMatch(/ON CONFLICT|deletes/);

      // And it is the policy that stops them, not the key that could not be taken out of the way.
      await asSuperuser(database, 'ALTER POLICY room_tenant_isolation_policy ON room WITH CHECK (true)');
      await expect(expectIsolated(Room, database)).rejects.toThrow(
        'inserts a row for the other tenant with raw SQL: the policies let it by, only a constraint stopped it',
      );
    } finally {
      await asSuperuser(database, `GRANT UPDATE, DELETE ON shipment, room TO ${ROLES.appRole}`);
    }
  });
});

describe('expectIsolated() on a sealed data source fails', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await kitDatabase(NOTES, { ...ROLES, seal: newSeal() });
  });
  afterEach(() => database?.destroy());

  it('if the table asks for no seal: whoever sets the setting gets through', async () => {
    await asSuperuser(
      database,
      "ALTER POLICY folder_tenant_isolation_policy ON folder USING (tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid) WITH CHECK (tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid)",
    );

    await expect(expectIsolated(Folder, database)).rejects.toThrow(
      [
        'What a tenant does to a row of another tenant:',
        '  - reads the row by setting its tenant',
        '  - reads the row by setting its tenant, without a seal',
        '  - updates the row by setting its tenant',
      ].join('\n'),
    );
  });

  it('if the app role may become the admin role', async () => {
    await asSuperuser(database, `GRANT ${ROLES.adminRole} TO ${ROLES.appRole}`);
    try {
      await expect(expectIsolated(Folder, database)).rejects.toThrow(`  - ${SEAL_ATTACKS[2]}`);
    } finally {
      await asSuperuser(database, `REVOKE ${ROLES.adminRole} FROM ${ROLES.appRole}`);
    }
  });

  it('if a policy lets everything by', async () => {
    await asSuperuser(database, 'CREATE POLICY leak ON folder USING (true)');
    await expect(expectIsolated(Folder, database)).rejects.toThrow(
      /- reads the row with raw SQL[^]*- deletes the row with raw SQL[^]*- reads the row by setting its tenant/,
    );
  });

  it('if not even its own tenant sees the row', async () => {
    await asSuperuser(database, 'CREATE POLICY closed ON folder AS RESTRICTIVE FOR SELECT USING (false)');
    await expect(expectIsolated(Folder, database)).rejects.toThrow(/^Nothing was proven: /);
  });

  it('if the database has other keys', async () => {
    await asSuperuser(database, "UPDATE rls.seal_key SET id = 'another'");
    await expect(expectIsolated(Folder, database)).rejects.toThrow(/Seal refused: its key "kit" is unknown/);
  });
});

describe('a sealed test database, made from migrations', () => {
  const settings = { tenantIdType: 'uuid', appRole: ROLES.appRole, adminRole: ROLES.adminRole } as const;

  class CreateFolder1764000000000 extends RlsMigration {
    readonly operations = [
      runSql('CREATE TABLE folder (id serial PRIMARY KEY, tenant_id uuid NOT NULL)', 'DROP TABLE folder'),
      protectTable({ table: 'folder', ...settings }),
    ];
  }
  class InstallSeal1764000000001 extends RlsMigration {
    readonly operations = [installSeal(settings)];
  }
  // It needs a key in the database, which in production somebody gives it with `seal-keys`.
  class SealFolder1764000000002 extends RlsMigration {
    readonly operations = [sealTable({ table: 'folder', tenantIdType: 'uuid' })];
  }
  const MIGRATIONS = [CreateFolder1764000000000, InstallSeal1764000000001, SealFolder1764000000002];

  const made = (migrations: typeof MIGRATIONS, seal = newSeal()) =>
    createTestDatabase({
      ...ROLES,
      tenantIdType: 'uuid',
      seal,
      dataSource: { entities: [Folder], migrations },
    });

  it('has the keys of who asks for it, each copy its own', async () => {
    const databases = [await made(MIGRATIONS), await made(MIGRATIONS)];
    try {
      for (const database of databases) {
        await asTenant(A, () => database.dataSource.getRepository(Folder).insert({}));
        expect(await expectIsolated(Folder, database)).toEqual(expect.arrayContaining(SEAL_ATTACKS));
        expect(await asSuperuser(database, 'SELECT id FROM rls.seal_key')).toEqual([{ id: 'kit' }]);
      }
    } finally {
      for (const database of databases) await database.destroy();
    }
  });

  it('serves a Nest application that connects itself, and starts', async () => {
    const seal = newSeal();
    const database = await made(MIGRATIONS, seal);
    const options = (login: 'app' | 'admin') => ({
      type: 'postgres' as const,
      url: database.url(login),
      entities: [Folder],
    });
    const module = await Test.createTestingModule({
      imports: [
        TypeOrmModule.forRoot(options('app')),
        TypeOrmModule.forRoot({ ...options('admin'), name: 'admin' }),
        RlsTenantsModule.forRoot({
          tenantIdType: 'uuid',
          resolveTenant: fromHeader('x-tenant'),
          authorize: () => true,
          adminRole: ROLES.adminRole,
          adminDataSource: 'admin',
          seal,
        }),
      ],
    }).compile();
    try {
      expect(await expectIsolated(Folder, { dataSource: module.get(DataSource) })).toEqual(
        expect.arrayContaining(SEAL_ATTACKS),
      );
    } finally {
      await module.close();
      await database.destroy();
    }
  });

  it('is refused if the migrations install no seal', async () => {
    await expect(made([CreateFolder1764000000000])).rejects.toThrow(
      'The option `seal` is given, and the migrations install no tenant seal',
    );
  });
});

it('without a seal, there is no login of admin contexts unless one is asked for', async () => {
  const database = await kitDatabase(NOTES);
  try {
    expect(() => database.url('admin')).toThrow('The test database has no login of admin contexts.');
  } finally {
    await database.destroy();
  }
  const own = await kitDatabase(NOTES, {
    ...ROLES,
    appRole: 'kit_own_app',
    adminLogin: 'kit_own_admin_login',
  });
  try {
    expect(new URL(own.url('admin')).username).toBe('kit_own_admin_login');
    expect(await expectIsolated(Folder, own)).not.toEqual(expect.arrayContaining(SEAL_ATTACKS));
    expect(KIT_ROLES.appRole).not.toBe('kit_own_app');
  } finally {
    await own.destroy();
  }
});

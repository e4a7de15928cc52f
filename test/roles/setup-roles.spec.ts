import { DataSource } from 'typeorm';
import { protectTable } from '../../libs/rls-tenants/src/migrations/index.js';
import { quoteIdentifier, setupRolesSql } from '../../libs/rls-tenants/src/policies/index.js';
import { catalogSnapshot } from '../migrations/catalog-snapshot.js';
import { createRolesDatabase, type RolesDatabase } from './roles-support.js';

const setTenant = (tenantId: number) => `SELECT set_config('rls.current_tenant', '${tenantId}', true); `;
const denied = { code: '42501' };

let db: RolesDatabase;

const rolesSnapshot = (names: string[]) =>
  db.asSuperuser(
    `SELECT rolname::text, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,
       ARRAY(SELECT to_jsonb(m) - 'oid' - 'grantor' FROM pg_auth_members m WHERE m.member = r.oid ORDER BY roleid) AS memberships
     FROM pg_roles r WHERE rolname = ANY($1) ORDER BY rolname`,
    [names],
  );

describe('the roles that setup-roles makes', () => {
  beforeAll(async () => {
    db = await createRolesDatabase();
    await db.asSuperuser(
      `CREATE TABLE existing (id serial PRIMARY KEY, tenant_id int NOT NULL);
       CREATE TYPE mood AS ENUM ('good');
       CREATE SEQUENCE counter;
       CREATE VIEW seen AS SELECT * FROM existing;
       CREATE TABLE event (tenant_id int) PARTITION BY LIST (tenant_id);
       CREATE TABLE event_1 PARTITION OF event FOR VALUES IN (1)`,
    );
    await db.setup();
    await db.runAs(
      db.names.migrationRole,
      'CREATE TABLE note (id serial PRIMARY KEY, tenant_id int NOT NULL)',
    );
    const migrator = await new DataSource({
      type: 'postgres',
      url: db.url().replace('//postgres@', `//${db.names.migrationRole}@`),
    }).initialize();
    const queryRunner = migrator.createQueryRunner();
    const { appRole, adminRole } = db.names;
    await protectTable({ table: 'note', tenantIdType: 'integer', appRole, adminRole }).up(queryRunner);
    await protectTable({ table: 'existing', tenantIdType: 'integer', appRole, adminRole }).up(queryRunner);
    await queryRunner.release();
    await migrator.destroy();
    await db.asSuperuser(
      'INSERT INTO note (tenant_id) VALUES (1), (2); INSERT INTO existing (tenant_id) VALUES (1), (2)',
    );
  });
  afterAll(() => db.drop());

  const asApp = (sql: string) => db.runAs(db.names.appRole, sql);

  it('are two logins and a role nobody logs in as, without any attribute beyond that', async () => {
    const roles = await rolesSnapshot(Object.values(db.names));
    const nothing = {
      rolsuper: false,
      rolcreaterole: false,
      rolcreatedb: false,
      rolreplication: false,
      rolbypassrls: false,
    };
    expect(roles).toMatchObject([
      { rolname: db.names.adminRole, rolcanlogin: false, memberships: [], ...nothing },
      { rolname: db.names.appRole, rolcanlogin: true, rolinherit: false, ...nothing },
      { rolname: db.names.migrationRole, rolcanlogin: true, rolinherit: true, ...nothing },
    ]);
  });

  it.each(['note', 'existing'])(
    'let the app role do its work on table %s, within its tenant',
    async (table) => {
      const rows = await asApp(
        `BEGIN; ${setTenant(1)} INSERT INTO ${table} DEFAULT VALUES; UPDATE ${table} SET id = id;
       DELETE FROM ${table} WHERE id > 2; SELECT id FROM ${table}`,
      );
      expect(rows).toEqual([{ id: 1 }]);
      expect(await db.asSuperuser(`SELECT * FROM ${table}`)).toHaveLength(2);
    },
  );

  it.each([
    'TRUNCATE note',
    'ALTER TABLE note ADD COLUMN x int',
    'ALTER TABLE note DISABLE ROW LEVEL SECURITY',
    'ALTER TABLE note NO FORCE ROW LEVEL SECURITY',
    'DROP POLICY note_tenant_isolation_policy ON note',
    'ALTER POLICY note_tenant_isolation_policy ON note USING (true)',
    'DROP TABLE note',
    'CREATE TABLE child (note_id int REFERENCES note)',
    'CREATE TEMPORARY TABLE note (id int)',
    `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
    'CREATE TRIGGER t BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
    'CREATE SCHEMA mine',
    `SELECT setval('note_id_seq', 1000)`,
    `SELECT setval('counter', 1000)`,
    'SELECT * FROM seen',
    'SELECT * FROM event_1',
    'DROP SCHEMA public CASCADE',
    'CREATE ROLE mine',
    'SET row_security = off; SELECT * FROM note',
  ])('refuse the app role: %s', async (sql) => {
    await expect(asApp(sql)).rejects.toMatchObject(denied);
  });

  it('refuse the app role to reference a table, even from a schema where it may create', async () => {
    await db.asSuperuser(`CREATE SCHEMA own AUTHORIZATION ${db.names.appRole}`);
    await expect(asApp('CREATE TABLE own.child (note_id int REFERENCES public.note)')).rejects.toMatchObject(
      denied,
    );
    await db.asSuperuser('DROP SCHEMA own');
  });

  it('refuse the app role to become the migration role, and let it become the admin role', async () => {
    await expect(asApp(`SET ROLE ${db.names.migrationRole}`)).rejects.toMatchObject(denied);
    expect(await asApp('SELECT * FROM note')).toEqual([]);
    expect(await asApp(`SET ROLE ${db.names.adminRole}; SELECT * FROM note`)).toHaveLength(2);
    await expect(asApp(`SET ROLE ${db.names.adminRole}; TRUNCATE note`)).rejects.toMatchObject(denied);
  });

  it('let the migration role own what exists, but for views, and see all rows', async () => {
    const owners = await db.asSuperuser<{ relname: string; owner: string }>(
      `SELECT relname::text, pg_get_userbyid(relowner)::text AS owner FROM pg_class
       WHERE relname IN ('existing', 'existing_id_seq', 'counter', 'event', 'event_1', 'seen')
       UNION ALL SELECT typname::text, pg_get_userbyid(typowner) FROM pg_type WHERE typname = 'mood' ORDER BY 1`,
    );
    const { migrationRole } = db.names;
    const { seen, ...owned } = Object.fromEntries(owners.map(({ relname, owner }) => [relname, owner]));
    expect(new Set(Object.values(owned))).toEqual(new Set([migrationRole]));
    expect(seen).not.toBe(migrationRole);
    expect(await db.runAs(migrationRole, 'SELECT * FROM note')).toHaveLength(2);
  });

  it('cover future tables and sequences by default privileges, with four verbs and no more', async () => {
    await db.runAs(
      db.names.migrationRole,
      'CREATE TABLE future (id bigserial); CREATE SEQUENCE future_counter',
    );
    expect(
      await asApp(`INSERT INTO future DEFAULT VALUES RETURNING id, nextval('future_counter') AS n`),
    ).toEqual([{ id: '1', n: '1' }]);
    const privileges = await db.asSuperuser<{ privilege_type: string }>(
      `SELECT privilege_type::text FROM information_schema.role_table_grants
       WHERE table_name = 'future' AND grantee IN ($1, $2) ORDER BY grantee, 1`,
      [db.names.appRole, db.names.adminRole],
    );
    const four = ['DELETE', 'INSERT', 'SELECT', 'UPDATE'];
    expect(privileges.map((row) => row.privilege_type)).toEqual([...four, ...four]);
    await expect(asApp('TRUNCATE future')).rejects.toMatchObject(denied);
  });

  it('stay as they are when it runs again', async () => {
    await db.setup();
    const before = [await catalogSnapshot(db), await rolesSnapshot(Object.values(db.names))];
    await db.setup();
    expect([await catalogSnapshot(db), await rolesSnapshot(Object.values(db.names))]).toEqual(before);
  });
});

describe('setup-roles on a database that was not careful', () => {
  beforeEach(async () => {
    db = await createRolesDatabase();
  });
  afterEach(() => db.drop());

  it('takes from existing roles what gets them around row-level security', async () => {
    const { appRole, migrationRole, adminRole } = db.names;
    await db.asSuperuser(
      `CREATE ROLE ${appRole} LOGIN SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS;
       CREATE ROLE ${migrationRole} SUPERUSER NOLOGIN NOINHERIT;
       CREATE ROLE ${adminRole} LOGIN BYPASSRLS;
       GRANT ${adminRole} TO ${appRole};
       CREATE SCHEMA shop AUTHORIZATION ${appRole};
       GRANT CREATE ON SCHEMA public TO PUBLIC;
       CREATE TABLE note (id int); ALTER TABLE note OWNER TO ${appRole};
       CREATE TABLE shop.item (id int);
       GRANT ALL ON note, shop.item TO ${appRole}, PUBLIC;
       ALTER DEFAULT PRIVILEGES FOR ROLE ${migrationRole} IN SCHEMA shop GRANT ALL ON TABLES TO ${appRole}`,
    );
    await db.setup({ schemas: ['public', 'shop'] });

    const refused = [
      'TRUNCATE note',
      'TRUNCATE shop.item',
      'DROP TABLE note',
      'CREATE TABLE public.mine (id int)',
      'CREATE TABLE shop.mine (id int)',
      'CREATE ROLE mine',
    ];
    for (const sql of refused) await expect(db.runAs(appRole, sql)).rejects.toMatchObject(denied);
    await db.runAs(migrationRole, 'CREATE TABLE shop.later (id int)');
    await expect(db.runAs(appRole, 'TRUNCATE shop.later')).rejects.toMatchObject(denied);
    expect(await db.runAs(appRole, 'SELECT * FROM note, shop.item, shop.later')).toEqual([]);
    const [inherits] = await db.asSuperuser<{ usage: boolean }>(
      `SELECT pg_has_role($1, $2, 'USAGE') AS usage`,
      [appRole, adminRole],
    );
    expect(inherits).toEqual({ usage: false });
    await expect(db.runAs(adminRole, 'SELECT 1')).rejects.toMatchObject({ code: '28000' });
  });

  it.each<[string, (names: RolesDatabase['names'], database: string) => string, string]>([
    [
      'is a member of the migration role',
      (n) => `GRANT ${n.migrationRole} TO ${n.appRole}`,
      'is a member of the migration role',
    ],
    [
      'administers the admin role',
      (n) => `GRANT ${n.adminRole} TO ${n.appRole} WITH ADMIN OPTION`,
      'administers the admin role',
    ],
    [
      'owns the database',
      (n, database) => `ALTER DATABASE ${database} OWNER TO ${n.appRole}`,
      'owns a schema',
    ],
  ])('refuses where the app role %s, and changes nothing', async (_what, grant, message) => {
    const { appRole, migrationRole, adminRole } = db.names;
    await db.asSuperuser(`CREATE ROLE ${appRole}; CREATE ROLE ${migrationRole}; CREATE ROLE ${adminRole}`);
    await db.asSuperuser(grant(db.names, db.name));
    const before = [await catalogSnapshot(db), await rolesSnapshot(Object.values(db.names))];
    const refusal = await db.setup().catch((error: unknown) => error);
    expect(refusal).toMatchObject({ message: expect.stringContaining(message), hint: expect.any(String) });
    expect([await catalogSnapshot(db), await rolesSnapshot(Object.values(db.names))]).toEqual(before);
  });

  it('refuses where the app role may become a role that bypasses row-level security', async () => {
    await db.asSuperuser(`ALTER ROLE ${db.roles.app} BYPASSRLS; CREATE ROLE ${db.names.appRole} LOGIN`);
    await db.asSuperuser(`GRANT ${db.roles.app} TO ${db.names.appRole}`);
    await expect(db.setup()).rejects.toThrow('may become a role that bypasses row-level security');
  });

  it('makes a schema that does not exist', async () => {
    await db.setup({ schemas: ['new "schema"'] });
    await db.runAs(db.names.migrationRole, 'CREATE TABLE "new ""schema""".note (id int)');
    expect(await db.runAs(db.names.appRole, 'SELECT * FROM "new ""schema""".note')).toEqual([]);
  });
});

describe('setup-roles with odd names', () => {
  it.each([`My "App" 100%s `, `$rls$'; DROP -- \\ `])('quotes %j', async (flavour) => {
    db = await createRolesDatabase(flavour);
    try {
      await db.setup();
      await db.setup();
      await db.runAs(db.names.migrationRole, 'CREATE TABLE note (id int)');
      expect(await db.runAs(db.names.appRole, 'SELECT * FROM note')).toEqual([]);
      const become = `SET ROLE ${quoteIdentifier(db.names.adminRole)}; SELECT current_user::text AS role`;
      expect(await db.runAs(db.names.appRole, become)).toEqual([{ role: db.names.adminRole }]);
    } finally {
      await db.drop();
    }
  });

  it.each([
    { appRole: 'one', migrationRole: 'one' },
    { appRole: 'rls_admin', migrationRole: 'two' },
    { appRole: 'public', migrationRole: 'two' },
    { appRole: 'one', migrationRole: 'two', adminRole: 'public' },
    { appRole: '', migrationRole: 'two' },
    { appRole: 'one', migrationRole: 'two', schemas: [''] },
  ])('refuses %j', (options) => {
    expect(() => setupRolesSql(options)).toThrow(expect.objectContaining({ name: 'RlsConfigurationError' }));
  });
});

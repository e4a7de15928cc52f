import type { Catalog, CatalogRole } from '../../libs/rls-tenants/src/audit/catalog.js';
import { runtimeRoleCanEscalate } from '../../libs/rls-tenants/src/audit/rules/runtime-role-can-escalate.rule.js';
import { since16 } from '../support/database.js';
import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

describe('RLS003 runtime-role-can-escalate', () => {
  let db: NoteDatabase;
  let other: string;

  beforeAll(async () => {
    db = await createNoteDatabase();
    other = `other_${db.roles.app}`;
    await db.asSuperuser(`CREATE ROLE ${other}`);
  });
  afterAll(async () => {
    await db.asSuperuser(`DROP OWNED BY ${other}; DROP ROLE ${other}`);
    await db.drop();
  });

  const expectFixed = async () => {
    const { findings } = await db.audit();
    expect(findings).toMatchObject([
      { ruleId: 'RLS003', severity: 'critical', object: `role "${db.roles.app}"` },
    ]);
    await db.asSuperuser(findings[0]!.fix);
    expect(await db.findings()).toEqual([]);
    return findings[0]!.message;
  };

  it('an app role that may SET ROLE to the admin role and does not inherit it is sound', async () => {
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.as('app', `SET ROLE ${db.roles.admin}; SELECT * FROM note`)).toHaveLength(2);
    expect(await db.findings()).toEqual([]);
  });

  since16('an app role that inherits the admin role sees every row, and is found', async () => {
    await db.asSuperuser(`GRANT ${db.roles.admin} TO ${db.roles.app} WITH INHERIT TRUE`);
    expect(await db.seenByA()).toEqual(['a', 'b']);
    expect(await expectFixed()).toContain(`inherits the admin role "${db.roles.admin}"`);
    expect(await db.seenByA()).toEqual(['a']);
    // The fix leaves the admin context its way.
    expect(await db.as('app', `SET ROLE ${db.roles.admin}; SELECT * FROM note`)).toHaveLength(2);
  });

  since16('an app role that inherits the admin role through another role is found', async () => {
    await db.asSuperuser(
      `GRANT ${db.roles.admin} TO ${other}; GRANT ${other} TO ${db.roles.app} WITH INHERIT TRUE`,
    );
    await db.asSuperuser(`GRANT ${db.roles.admin} TO ${other} WITH INHERIT TRUE`);
    expect(await db.seenByA()).toEqual(['a', 'b']);
    expect(await db.findings()).toEqual(['RLS003 critical']);

    await db.asSuperuser(`REVOKE ${other} FROM ${db.roles.app}; REVOKE ${db.roles.admin} FROM ${other}`);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findings()).toEqual([]);
  });

  since16(
    'an app role with ADMIN OPTION on the admin role inherits it one GRANT later, and is found',
    async () => {
      const { app, admin } = db.roles;
      await db.asSuperuser(`GRANT ${admin} TO ${app} WITH ADMIN TRUE`);
      await db.as('app', `GRANT ${admin} TO ${app} WITH INHERIT TRUE`);
      expect(await db.seenByA()).toEqual(['a', 'b']);
      await db.as('app', `REVOKE ${admin} FROM ${app} GRANTED BY ${app}`);

      expect(await expectFixed()).toContain('ADMIN OPTION');
      await expect(db.as('app', `GRANT ${admin} TO ${app} WITH INHERIT TRUE`)).rejects.toThrow(
        'permission denied',
      );
    },
  );

  since16('an app role that may become the owner of the table is found', async () => {
    await db.asSuperuser(`GRANT ${db.roles.migrator} TO ${db.roles.app} WITH INHERIT FALSE, SET TRUE`);
    expect(await db.as('app', `SET ROLE ${db.roles.migrator}; SELECT * FROM note`)).toHaveLength(2);
    expect(await expectFixed()).toMatch(/may SET ROLE to .* owns table "public.note", schema "public"/);
    await expect(db.as('app', `SET ROLE ${db.roles.migrator}`)).rejects.toThrow('permission denied');
  });

  it.each([
    ['a role with BYPASSRLS', 'BYPASSRLS', 'NOBYPASSRLS'],
    ['a superuser', 'SUPERUSER', 'NOSUPERUSER'],
  ])('an app role that may become %s is found', async (_name, attribute, without) => {
    await db.asSuperuser(
      `ALTER ROLE ${other} ${attribute}; GRANT SELECT ON note TO ${other}; GRANT ${other} TO ${db.roles.app}`,
    );
    expect(await db.as('app', `SET ROLE ${other}; SELECT * FROM note`)).toHaveLength(2);
    await expectFixed();
    await expect(db.as('app', `SET ROLE ${other}`)).rejects.toThrow('permission denied');
    await db.asSuperuser(`ALTER ROLE ${other} ${without}`);
  });

  it("an app role that reads the server's files is found", async () => {
    await db.asSuperuser(`GRANT pg_read_server_files TO ${db.roles.app}`);
    const [server] = await db.asSuperuser<{ data: string }>(
      `SELECT current_setting('data_directory') AS data`,
    );
    const read = `SET ROLE pg_read_server_files; CREATE TEMP TABLE line (text text);
                  COPY line FROM '${server!.data}/PG_VERSION'; SELECT text FROM line`;
    expect(await db.as('app', read)).toHaveLength(1);
    await expectFixed();
    await expect(db.as('app', read)).rejects.toThrow('permission denied');
  });

  it('an app role with REPLICATION is found', async () => {
    await db.asSuperuser(`ALTER ROLE ${db.roles.app} REPLICATION`);
    expect(await expectFixed()).toContain('write-ahead log');
  });

  it('a membership in a harmless role is sound', async () => {
    await db.asSuperuser(`GRANT ${other} TO ${db.roles.app}`);
    expect(await db.findings()).toEqual([]);
    await db.asSuperuser(`REVOKE ${other} FROM ${db.roles.app}`);
  });

  since16('a membership without INHERIT, SET and ADMIN in an owner is sound', async () => {
    await db.asSuperuser(`GRANT ${db.roles.migrator} TO ${db.roles.app} WITH INHERIT FALSE, SET FALSE`);
    await expect(db.as('app', `SET ROLE ${db.roles.migrator}`)).rejects.toThrow('permission denied');
    expect(await db.findings()).toEqual([]);
    await db.asSuperuser(`REVOKE ${db.roles.migrator} FROM ${db.roles.app}`);
  });

  describe('on a server before PostgreSQL 16', () => {
    const role = (name: string, rest: Partial<CatalogRole> = {}): CatalogRole => ({
      name,
      superuser: false,
      bypassRls: false,
      createRole: false,
      replication: false,
      login: true,
      inherited: false,
      settable: false,
      grantable: false,
      ...rest,
    });
    const check = (app: CatalogRole, versionNumber: number, roles: CatalogRole[] = []) => {
      const server = {
        versionNumber,
        version: '',
        database: 'd',
        databaseOwner: 'postgres',
        currentUser: 'app',
        sessionUser: 'app',
      };
      const catalog: Catalog = {
        server,
        appRole: app,
        auditsOwnConnection: true,
        roles: new Map([app, ...roles].map((one) => [one.name, one])),
        settings: [],
        seals: [],
        table: () => undefined,
        tableAt: () => undefined,
        database: undefined,
      };
      return runtimeRoleCanEscalate.check(catalog, {
        tables: [],
        adminRoles: ['rls_admin'],
        requested: new Set(),
        database: undefined,
      });
    };

    it('an app role with CREATEROLE is found, because it may grant itself any role', () => {
      expect(check(role('app', { createRole: true }), 150000)).toMatchObject([
        { fix: 'ALTER ROLE "app" NOCREATEROLE;' },
      ]);
      expect(check(role('app', { createRole: true }), 160000)).toEqual([]);
    });

    it('the fix for inheriting the admin role is NOINHERIT', () => {
      const admin = role('rls_admin', { inherited: true, settable: true });
      expect(check(role('app'), 150000, [admin])).toMatchObject([{ fix: 'ALTER ROLE "app" NOINHERIT;' }]);
    });
  });

  it('an app role that may SET ROLE to one whose policies show every tenant is found', async () => {
    await db.asSuperuser(
      `GRANT ${other} TO ${db.roles.app}; GRANT USAGE ON SCHEMA public TO ${other}; GRANT SELECT ON note TO ${other}`,
    );
    expect(await db.findingsOf('RLS003')).toEqual([]);
    await db.as('migrator', `CREATE POLICY open ON note TO ${other} USING (body <> '')`);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.as('app', `SET ROLE ${other}; SELECT * FROM note`)).toHaveLength(2);
    const findings = await db.findingsOf('RLS003');
    expect(findings).toMatchObject([{ severity: 'critical', message: expect.stringContaining('"open"') }]);

    await db.asSuperuser(findings[0]!.fix);
    await expect(db.as('app', `SET ROLE ${other}`)).rejects.toThrow('permission denied');
    expect(await db.findingsOf('RLS003')).toEqual([]);
    await db.as('migrator', 'DROP POLICY open ON note');
  });
});

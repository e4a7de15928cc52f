import { randomUUID } from 'node:crypto';
import { RlsCliModule, runCli } from '../../libs/rls-tenants/src/cli/index.js';
import {
  quoteIdentifier,
  setupRolesSql,
  type RolesOptions,
} from '../../libs/rls-tenants/src/policies/index.js';
import { catalogSnapshot } from '../migrations/catalog-snapshot.js';
import { since16 } from '../support/database.js';
import { createRolesDatabase, type RolesDatabase } from './roles-support.js';

const denied = { code: '42501' };

let db: RolesDatabase;
let adminLogin: string;

async function begin(flavour = ''): Promise<void> {
  db = await createRolesDatabase(flavour);
  adminLogin = `login_${flavour}${randomUUID().slice(0, 8)}`;
}
async function end(): Promise<void> {
  // Roles that it granted something to must go before it.
  await db.asSuperuser(`DROP OWNED BY ${quoteIdentifier(db.names.appRole)}`).catch(() => undefined);
  const [found] = await db.asSuperuser('SELECT FROM pg_roles WHERE rolname = $1', [adminLogin]);
  if (found)
    await db.asSuperuser(
      `DROP OWNED BY ${quoteIdentifier(adminLogin)}; DROP ROLE ${quoteIdentifier(adminLogin)}`,
    );
  await db.drop();
}
beforeEach(() => begin());
afterEach(end);

const setup = () => db.setup({ adminLogin });
const become = () => `SET ROLE ${quoteIdentifier(db.names.adminRole)}; `;
const roles = async () => [
  await catalogSnapshot(db),
  await db.asSuperuser(
    `SELECT rolname::text, rolcanlogin, rolinherit, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,
       ARRAY(SELECT to_jsonb(m) - 'oid' - 'grantor' FROM pg_auth_members m WHERE m.member = r.oid ORDER BY roleid) AS memberships
     FROM pg_roles r WHERE rolname = ANY ($1) ORDER BY rolname`,
    [[...Object.values(db.names), adminLogin]],
  ),
];
const note = () =>
  db.runAs(
    db.names.migrationRole,
    `CREATE TABLE note (id int); ALTER TABLE note ENABLE ROW LEVEL SECURITY;
     CREATE POLICY note_admin_policy ON note TO ${quoteIdentifier(db.names.adminRole)} USING (true);
     INSERT INTO note VALUES (1)`,
  );

describe('setup-roles with a login of admin contexts', () => {
  it('lets that login become the admin role, and not the app role', async () => {
    await setup();
    await note();
    expect(await db.runAs(adminLogin, `${become()} SELECT * FROM note`)).toEqual([{ id: 1 }]);
    await expect(db.runAs(adminLogin, 'SELECT * FROM note')).rejects.toMatchObject(denied);
    await expect(db.runAs(db.names.appRole, become())).rejects.toMatchObject(denied);
    expect(await db.runAs(db.names.appRole, 'SELECT * FROM note')).toEqual([]);
    await expect(db.runAs(db.names.appRole, `SET ROLE ${quoteIdentifier(adminLogin)}`)).rejects.toMatchObject(
      denied,
    );
  });

  it('takes the admin role from an app role that had it, which an ordinary set-up gives', async () => {
    await db.setup();
    await note();
    expect(await db.runAs(db.names.appRole, `${become()} SELECT * FROM note`)).toEqual([{ id: 1 }]);
    await setup();
    await expect(db.runAs(db.names.appRole, become())).rejects.toMatchObject(denied);
    await db.setup();
    expect(await db.runAs(db.names.appRole, `${become()} SELECT * FROM note`)).toEqual([{ id: 1 }]);
  });

  it('is made with least privilege, and aligned if it is there: once and again is the same', async () => {
    await db.asSuperuser(`CREATE ROLE ${adminLogin} SUPERUSER CREATEROLE INHERIT`);
    await setup();
    const first = await roles();
    expect(first[1]).toContainEqual(
      expect.objectContaining({
        rolname: adminLogin,
        rolcanlogin: true,
        rolinherit: false,
        rolsuper: false,
        rolbypassrls: false,
        rolcreaterole: false,
        memberships: [expect.anything()],
      }),
    );
    await setup();
    expect(await roles()).toEqual(first);
  });

  since16('revokes what others granted the app role, and what it granted in turn', async () => {
    const { appRole, adminRole, migrationRole } = db.names;
    await db.setup();
    await db.asSuperuser(
      `GRANT ${adminRole} TO ${migrationRole} WITH ADMIN TRUE;
       GRANT ${adminRole} TO ${appRole} WITH ADMIN TRUE GRANTED BY ${migrationRole}`,
    );
    await setup();
    await expect(db.runAs(appRole, become())).rejects.toMatchObject(denied);
  });

  it.each<[string, (names: RolesDatabase['names']) => string, string]>([
    [
      'is a member of the login',
      (n) => `CREATE ROLE ${adminLogin}; GRANT ${adminLogin} TO ${n.appRole}`,
      'the login of admin contexts',
    ],
    [
      'may become the admin role through another',
      (n) => `GRANT ${n.adminRole} TO ${db.roles.app}; GRANT ${db.roles.app} TO ${n.appRole}`,
      'may still become the admin role',
    ],
    [
      'may become a role with CREATEROLE',
      (n) => `ALTER ROLE ${db.roles.app} CREATEROLE; GRANT ${db.roles.app} TO ${n.appRole}`,
      'a role with CREATEROLE',
    ],
    ['reads all data', (n) => `GRANT pg_read_all_data TO ${n.appRole}`, 'gets at every table'],
    [
      'reads the server’s files through another',
      (n) => `GRANT pg_read_server_files TO ${db.roles.app}; GRANT ${db.roles.app} TO ${n.appRole}`,
      'gets at every table',
    ],
  ])('refuses where the app role %s, and changes nothing', async (_what, grant, message) => {
    await db.setup();
    await db.asSuperuser(grant(db.names));
    const before = await roles();
    await expect(setup()).rejects.toMatchObject({
      message: expect.stringContaining(message),
      hint: expect.any(String),
    });
    expect(await roles()).toEqual(before);
  });

  it('refuses a login that inherits the admin role', async () => {
    const { adminRole } = db.names;
    await db.setup();
    await db.asSuperuser(
      `ALTER ROLE ${db.roles.migrator} INHERIT; GRANT ${adminRole} TO ${db.roles.migrator};
       CREATE ROLE ${adminLogin} LOGIN; GRANT ${db.roles.migrator} TO ${adminLogin}`,
    );
    // Before PostgreSQL 16 NOINHERIT, which the set-up sees to, decides for all memberships.
    const [{ inherits }] = (await db.asSuperuser(
      `SELECT current_setting('server_version_num')::int >= 160000 AS inherits`,
    )) as [{ inherits: boolean }];
    const outcome = await setup().then(
      () => 'done',
      (error: Error) => error.message,
    );
    expect(outcome).toMatch(inherits ? /inherits the admin role/ : /^done$/);
  });

  it('works for a login that creates roles and is no superuser, as providers give', async () => {
    const { appRole, migrationRole, adminRole } = db.names;
    const owner = `owner_${randomUUID().slice(0, 8)}`;
    await db.asSuperuser(
      `CREATE ROLE ${owner} LOGIN CREATEROLE CREATEDB; ALTER DATABASE ${db.name} OWNER TO ${owner};
       ALTER SCHEMA public OWNER TO ${owner}`,
    );
    const set = (options: Partial<RolesOptions>) =>
      db.runAs(
        owner,
        ['BEGIN', ...setupRolesSql({ ...db.names, ...options }).map(({ sql }) => sql), 'COMMIT'].join(';\n'),
      );
    await db.runAs(
      owner,
      `CREATE ROLE ${adminRole} NOLOGIN; CREATE ROLE ${appRole} LOGIN NOINHERIT; CREATE ROLE ${migrationRole} LOGIN;
       CREATE ROLE ${adminLogin} LOGIN NOINHERIT; GRANT ${migrationRole} TO ${owner}`,
    );
    await set({});
    expect(await db.runAs(appRole, `${become()} SELECT 1 AS one`)).toEqual([{ one: 1 }]);
    await set({ adminLogin });
    await expect(db.runAs(appRole, become())).rejects.toMatchObject(denied);
    expect(await db.runAs(adminLogin, `${become()} SELECT 1 AS one`)).toEqual([{ one: 1 }]);
    const roles = [appRole, adminLogin, adminRole, migrationRole, owner];
    await db.asSuperuser(
      `ALTER DATABASE ${db.name} OWNER TO CURRENT_USER; DROP OWNED BY ${roles.join(', ')} CASCADE;
       DROP ROLE ${roles.join(', ')}`,
    );
  });

  it.each(['appRole', 'migrationRole', 'adminRole'] as const)('refuses the name of the %s', (role) => {
    expect(() => setupRolesSql({ ...db.names, adminLogin: db.names[role] })).toThrow(
      expect.objectContaining({
        name: 'RlsConfigurationError',
        message: expect.stringMatching(/is one of the other roles/),
      }),
    );
  });

  it('quotes odd names', async () => {
    await end();
    await begin(`My "App" 100%s $rls$'`);
    await setup();
    await setup();
    expect(await db.runAs(adminLogin, `${become()} SELECT 1 AS one`)).toEqual([{ one: 1 }]);
    await expect(db.runAs(db.names.appRole, become())).rejects.toMatchObject(denied);
  });
});

describe('rls-tenants setup-roles --admin-login', () => {
  let stdout: string;

  beforeEach(() => {
    stdout = '';
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => ((stdout += String(text)), true));
  });
  afterEach(() => {
    jest.restoreAllMocks();
    delete process.env.RLS_ADMIN_LOGIN_PASSWORD;
  });
  const cli = (...args: string[]) => {
    const { appRole, migrationRole, adminRole } = db.names;
    const names = ['--app-role', appRole, '--migration-role', migrationRole, '--admin-role', adminRole];
    return runCli(RlsCliModule, ['setup-roles', ...names, '--admin-login', adminLogin, ...args]);
  };

  it('prints the script', async () => {
    expect(await cli()).toBe(0);
    expect(stdout).toContain(`--   \\password "${adminLogin}"`);
    await db.asSuperuser(stdout);
    expect(await db.runAs(adminLogin, `${become()} SELECT 1 AS one`)).toEqual([{ one: 1 }]);
  });

  it('applies it, with a password from the environment, and says so', async () => {
    process.env.RLS_ADMIN_LOGIN_PASSWORD = 'top-secret';
    expect(await cli('--apply', '--url', db.url())).toBe(0);
    expect(stdout).toContain(`admin login role "${adminLogin}": created\n`);
    expect(stdout).not.toContain('top-secret');
    expect(
      await db.asSuperuser('SELECT rolpassword AS password FROM pg_authid WHERE rolname = $1', [adminLogin]),
    ).toEqual([{ password: expect.stringMatching(/^SCRAM-SHA-256\$/) }]);
    stdout = '';
    expect(await cli('--apply', '--url', db.url())).toBe(0);
    expect(stdout).toContain(`admin login role "${adminLogin}": existed\n`);
  });

  it('explains itself', async () => {
    expect(await cli('--help')).toBe(0);
    expect(stdout).toMatch(/--admin-login <name>[\s\S]*RLS_ADMIN_LOGIN_PASSWORD/);
  });
});

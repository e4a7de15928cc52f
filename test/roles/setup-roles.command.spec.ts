import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import { RlsCliModule, runCli, SetupRolesCommand } from '../../libs/rls-tenants/src/cli/index.js';
import { createRolesDatabase, type RolesDatabase } from './roles-support.js';

let db: RolesDatabase;
let stdout: string;
let stderr: string;

beforeEach(async () => {
  db = await createRolesDatabase();
  [stdout, stderr] = ['', ''];
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => ((stdout += String(text)), true));
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => ((stderr += String(text)), true));
});
afterEach(async () => {
  jest.restoreAllMocks();
  delete process.env.RLS_APP_PASSWORD;
  delete process.env.RLS_MIGRATION_PASSWORD;
  await db.drop();
});

const cli = (...args: string[]) => {
  const { appRole, migrationRole, adminRole } = db.names;
  const names = ['--app-role', appRole, '--migration-role', migrationRole, '--admin-role', adminRole];
  return runCli(RlsCliModule, ['setup-roles', ...names, ...args]);
};

const loginsWithPassword = () =>
  db.asSuperuser<{ name: string; password: string | null }>(
    `SELECT rolname::text AS name, rolpassword AS password FROM pg_authid WHERE rolname = ANY($1) ORDER BY 1`,
    [[db.names.appRole, db.names.migrationRole]],
  );

describe('rls-tenants setup-roles', () => {
  it('prints one transaction that makes the roles, without any password', async () => {
    process.env.RLS_APP_PASSWORD = 'top-secret';
    expect(await cli()).toBe(0);
    expect(stdout).toMatch(/^BEGIN;\n/);
    expect(stdout).toContain('\nCOMMIT;\n');
    expect(stdout).not.toMatch(/top-secret|SCRAM/);
    expect(stdout).toContain(`--   \\password "${db.names.appRole}"`);

    await db.asSuperuser(stdout);
    await db.runAs(db.names.migrationRole, 'CREATE TABLE note (id int)');
    expect(await db.runAs(db.names.appRole, 'SELECT * FROM note')).toEqual([]);
  });

  it('applies it, once and again, and says what it did', async () => {
    process.env.RLS_APP_PASSWORD = 'top-secret';
    expect(await cli('--apply', '--url', db.url())).toBe(0);
    expect(stdout).toBe(
      `app role "${db.names.appRole}": created\n` +
        `migration role "${db.names.migrationRole}": created without a password: set it in psql with \\password\n` +
        `admin role "${db.names.adminRole}": created\n` +
        `The roles are ready in database "${db.name}", schema "public".\n`,
    );
    const passwords = await loginsWithPassword();
    expect(passwords).toEqual([
      { name: db.names.appRole, password: expect.stringMatching(/^SCRAM-SHA-256\$4096:/) },
      { name: db.names.migrationRole, password: null },
    ]);

    process.env.RLS_APP_PASSWORD = 'another';
    stdout = '';
    expect(await cli('--apply', '--url', db.url())).toBe(0);
    expect(stdout).toContain(`app role "${db.names.appRole}": existed\n`);
    expect(await loginsWithPassword()).toEqual(passwords);
    expect(stdout + stderr).not.toMatch(/top-secret|another/);
  });

  it('takes several schemas, repeated or separated by commas', async () => {
    expect(await cli('--apply', '--url', db.url(), '--schema', 'shop, billing', '--schema', 'public')).toBe(
      0,
    );
    for (const schema of ['shop', 'billing', 'public']) {
      await db.runAs(db.names.migrationRole, `CREATE TABLE ${schema}.note (id int)`);
      expect(await db.runAs(db.names.appRole, `SELECT * FROM ${schema}.note`)).toEqual([]);
    }
  });

  it.each<[string, () => string[], RegExp]>([
    [
      'an unreachable server',
      () => ['--apply', '--url', 'postgres://postgres@127.0.0.1:1/none'],
      /ECONNREFUSED/,
    ],
    ['a login that is no superuser', () => ['--apply', '--url', db.url('app')], /permission denied/],
    ['a url for nothing', () => ['--url', db.url()], /--url is given without --apply/],
    ['two roles of one name', () => ['--admin-role', db.names.appRole], /are not three roles/],
    ['a hostile schema', () => ['--schema', ''], /Invalid PostgreSQL identifier/],
    ['an unknown option', () => ['--appl'], /unknown option/],
  ])('could not run with %s: exit code 2, and nothing on stdout', async (_what, args, message) => {
    expect(await cli(...args())).toBe(2);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(await loginsWithPassword()).toEqual([]);
  });

  it('could not run without the name of a role', async () => {
    expect(await runCli(RlsCliModule, ['setup-roles', '--app-role', 'app'])).toBe(2);
    expect(stderr).toContain('No --migration-role is given.');
  });

  it('says what to do where the app role could still get around row-level security', async () => {
    await db.asSuperuser(
      `CREATE ROLE ${db.names.appRole}; ALTER DATABASE ${db.name} OWNER TO ${db.names.appRole}`,
    );
    expect(await cli('--apply', '--url', db.url())).toBe(2);
    expect(stderr).toMatch(/owns a schema and could drop its tables.*\n.*ALTER DATABASE/);
  });

  it('keeps a hostile name inside its comment and its quotes', async () => {
    const hostile = await createRolesDatabase('\n; DROP TABLE canary; --');
    try {
      await hostile.asSuperuser('CREATE TABLE canary (id int)');
      await new SetupRolesCommand().run([], hostile.names);
      await hostile.asSuperuser(stdout);
      expect(await hostile.asSuperuser('SELECT * FROM canary')).toEqual([]);
      expect(await hostile.runAs(hostile.names.appRole, 'SELECT * FROM canary')).toEqual([]);
    } finally {
      await hostile.drop();
    }
  });

  it('explains itself', async () => {
    expect(await runCli(RlsCliModule, ['setup-roles', '--help'])).toBe(0);
    expect(stdout).toMatch(/RLS_APP_PASSWORD[\s\S]*Examples:[\s\S]*Exit codes: 0 done, 2 could not run/);
  });
});

describe('the printed script', () => {
  it('is one that psql runs, twice', async () => {
    const psql = await promisify(execFile)('psql', ['--version']).catch(() => undefined);
    await cli();
    for (let round = 0; round < 2; round++) {
      if (psql) await runPsql(stdout);
      else await db.asSuperuser(stdout);
    }
    const client = new pg.Client({
      connectionString: db.url().replace('//postgres@', `//${db.names.appRole}@`),
    });
    await client.connect();
    expect(client.database).toBe(db.name);
    await client.end();
  });

  function runPsql(script: string): Promise<void> {
    return new Promise((done, fail) => {
      const child = execFile('psql', ['-v', 'ON_ERROR_STOP=1', '-q', db.url()], (error) =>
        error ? fail(error) : done(),
      );
      child.stdin!.end(script);
    });
  }
});

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataSource } from 'typeorm';
import { RlsCliModule, runCli } from '../../libs/rls-tenants/src/cli/index.js';
import { sealKeysFromEnvironment, type SealKey } from '../../libs/rls-tenants/src/connection/index.js';
import { installSeal } from '../../libs/rls-tenants/src/migrations/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { newSealKey } from '../support/sealed-database.js';

let db: TestDatabase;
let stdout: string;
let stderr: string;
let first: SealKey;
let second: SealKey;

beforeEach(async () => {
  db = await createTestDatabase();
  [first, second] = [newSealKey('first'), newSealKey('second')];
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => ((stdout += String(text)), true));
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => ((stderr += String(text)), true));
});
afterEach(async () => {
  jest.restoreAllMocks();
  for (const variable of ['RLS_SEAL_KEYS', 'OTHER_KEYS']) delete process.env[variable];
  await db.drop();
});

const install = async (tenantSetting = 'rls.current_tenant') => {
  const migrator = await new DataSource({ type: 'postgres', url: db.url('migrator') }).initialize();
  const installation = { appRole: db.roles.app, adminRole: db.roles.admin, tenantSetting };
  await installSeal(installation).up(migrator.createQueryRunner());
  await migrator.destroy();
};
const secretOf = ({ secret }: SealKey) => Buffer.from(secret).toString('base64');
const textOf = (...keys: SealKey[]) =>
  keys
    .map((key) => [key.id, secretOf(key), ...(key.expiresAt ? [key.expiresAt.toISOString()] : [])].join(':'))
    .join(',');

/** Runs the command with these keys in the environment. */
async function cli(keys: readonly SealKey[] | undefined, ...args: string[]): Promise<number> {
  [stdout, stderr] = ['', ''];
  if (keys) process.env.RLS_SEAL_KEYS = textOf(...keys);
  else delete process.env.RLS_SEAL_KEYS;
  const code = await runCli(RlsCliModule, ['seal-keys', ...args]);
  const said = stdout + stderr;
  for (const key of [first, second]) {
    for (const form of ['base64', 'hex', 'base64url'] as const)
      expect(said).not.toContain(Buffer.from(key.secret).toString(form));
  }
  return code;
}
const onDatabase = (keys: readonly SealKey[], ...args: string[]) =>
  cli(keys, '--url', db.url('migrator'), ...args);
const stored = async () => {
  const rows = await db.as<{ id: string; expires_at: Date | null }>(
    'migrator',
    'SELECT id, expires_at FROM rls.seal_key ORDER BY id',
  );
  return rows.map(({ id, expires_at: expiresAt }) => (expiresAt ? `${id} ${expiresAt.toISOString()}` : id));
};

describe('rls-tenants seal-keys', () => {
  it('gives the database the keys of the environment, once and again, and lists them', async () => {
    await install();
    expect(await onDatabase([second, first])).toBe(0);
    expect(stdout).toBe(
      'Keys of the tenant seal of rls.current_tenant:\n' +
        '  second  never expires  database and RLS_SEAL_KEYS  seals  added\n' +
        '  first   never expires  database and RLS_SEAL_KEYS  added\n',
    );
    expect(await stored()).toEqual(['first', 'second']);
    expect(await onDatabase([second, first])).toBe(0);
    expect(stdout).not.toContain('added');
    expect(stderr).toBe('');
  });

  it('changes when a key expires, and says which one seals', async () => {
    await install();
    await onDatabase([first]);
    const past = { ...first, expiresAt: new Date('2020-01-01T00:00:00Z') };
    expect(await onDatabase([past, second])).toBe(0);
    expect(stdout).toContain(
      '  first   expired 2020-01-01T00:00:00.000Z  database and RLS_SEAL_KEYS  changed\n' +
        '  second  never expires  database and RLS_SEAL_KEYS  seals  added\n',
    );
    expect(await stored()).toEqual(['first 2020-01-01T00:00:00.000Z', 'second']);
  });

  it('leaves other keys of the database, and removes them with --prune', async () => {
    await install();
    await onDatabase([first]);
    expect(await onDatabase([second])).toBe(0);
    expect(stdout).toContain('  first   never expires  database only\n');
    expect(stdout).toContain('--prune removes what RLS_SEAL_KEYS does not hold');
    expect(await stored()).toEqual(['first', 'second']);
    expect(await onDatabase([second], '--prune')).toBe(0);
    expect(stdout).toContain('  first   never expires  nowhere any more  removed\n');
    expect(await stored()).toEqual(['second']);
  });

  it('--check changes nothing, and tells by its exit code whether anything is to be changed', async () => {
    await install();
    await onDatabase([first]);
    expect(await onDatabase([first], '--check')).toBe(0);
    expect(await onDatabase([second, first], '--check')).toBe(1);
    expect(stdout).toContain('to be added');
    expect(await onDatabase([second], '--check', '--prune')).toBe(1);
    expect(stdout).toContain('to be removed');
    expect(await stored()).toEqual(['first']);
  });

  it('speaks JSON', async () => {
    await install();
    await onDatabase([first]);
    expect(await onDatabase([{ ...second, expiresAt: new Date('2099-01-01') }], '--format', 'json')).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      tenantSetting: 'rls.current_tenant',
      variable: 'RLS_SEAL_KEYS',
      check: false,
      keys: [
        {
          id: 'second',
          expiresAt: '2099-01-01T00:00:00.000Z',
          inDatabase: true,
          inEnvironment: true,
          seals: true,
          change: 'added',
        },
        { id: 'first', expiresAt: null, inDatabase: true, inEnvironment: false, seals: false, change: null },
      ],
    });
  });

  it('takes another variable, another tenant setting, and a data source file that logs', async () => {
    await install('acme.tenant');
    const folder = await mkdtemp(join(tmpdir(), 'seal-keys-'));
    try {
      const file = join(folder, 'data-source.cjs');
      const options = { type: 'postgres', url: db.url('migrator'), logging: true, synchronize: true };
      await writeFile(
        file,
        `const { DataSource } = require(${JSON.stringify(require.resolve('typeorm'))});
         exports.source = new DataSource(${JSON.stringify(options)});`,
      );
      process.env.OTHER_KEYS = textOf(first);
      const args = ['--data-source', file, '--from', 'OTHER_KEYS', '--tenant-setting', 'acme.tenant'];
      expect(await cli(undefined, ...args)).toBe(0);
      expect(stdout).toBe(
        'Keys of the tenant seal of acme.tenant:\n  first  never expires  database and OTHER_KEYS  seals  added\n',
      );
      expect(await db.as('migrator', 'SELECT id FROM acme.seal_key')).toEqual([{ id: 'first' }]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('--generate prints a key that the environment takes, another each time, and touches no database', async () => {
    expect(await cli(undefined, '--generate')).toBe(0);
    const [one, today] = [stdout.trim(), new Date().toISOString().slice(0, 10)];
    process.env.RLS_SEAL_KEYS = one;
    const [key] = sealKeysFromEnvironment();
    expect(key!.id).toMatch(new RegExp(`^${today}-[0-9a-f]{4}$`));
    expect(key!.secret).toHaveLength(32);
    await cli(undefined, '--generate');
    expect(stdout.trim()).not.toBe(one);
    expect(await cli(undefined, '--generate', '--prune')).toBe(2);
    expect(stderr).toMatch(/--generate is given with other options/);
  });

  it('refuses another secret under an id that the database has, and changes nothing', async () => {
    await install();
    await onDatabase([first]);
    const other = newSealKey('first');
    expect(await onDatabase([second, other])).toBe(2);
    expect(stderr).toMatch(/Key "first" of the tenant seal has another secret[^]*id of its own/);
    expect(stderr).not.toContain(secretOf(other));
    expect(await stored()).toEqual(['first']);
  });

  it.each<[string, () => Promise<number>, RegExp]>([
    ['no keys', () => cli(undefined, '--url', db.url('migrator')), /RLS_SEAL_KEYS is not set[^]*--generate/],
    ['no database', () => cli([first]), /No --data-source is given/],
    ['two databases', () => onDatabase([first], '--data-source', 'x.js'), /Both --data-source and --url/],
    ['no seal in it', () => onDatabase([first]), /not installed in it[^]*installSeal\(\)/],
    ['an unreachable server', () => cli([first], '--url', 'postgres://a@127.0.0.1:1/none'), /ECONNREFUSED/],
    ['an unknown format', () => onDatabase([first], '--format', 'yaml'), /text or json/],
    [
      'a setting that cannot be sealed',
      () => onDatabase([first], '--tenant-setting', 'a.b.c'),
      /cannot be sealed/,
    ],
    [
      'expired keys only',
      async () => {
        await install();
        return onDatabase([{ ...first, expiresAt: new Date('2020-01-01') }]);
      },
      /Every key of the tenant seal has expired: "first"/,
    ],
    [
      'the app role’s login',
      async () => {
        await install();
        return cli([first], '--url', db.url('app'));
      },
      /Role "app_\w+" may not touch the keys[^]*migration role/,
    ],
  ])('could not run with %s: exit code 2, and nothing on stdout', async (_what, run, message) => {
    expect(await run()).toBe(2);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
  });

  it('explains itself', async () => {
    expect(await cli(undefined, '--help')).toBe(0);
    expect(stdout).toMatch(/--prune[^]*Examples:[^]*Exit codes: 0 done, 1 --check/);
  });
});

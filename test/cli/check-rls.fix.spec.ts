import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataSource, type MigrationInterface } from 'typeorm';
import { checkRls, type CheckRlsOptions } from '../../libs/rls-tenants/src/cli/check-rls.js';
import { lintMigrations } from '../../libs/rls-tenants/src/lint/index.js';
import { migrationDataSourceOptions, MigrationRunner } from '../../libs/rls-tenants/src/migrations/index.js';
import { SERVER_VERSION } from '../support/database.js';
import { A, B, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

let db: ProtectedDatabase;
let directory: string;

beforeEach(async () => {
  db = await createProtectedDatabase(NOTES);
  directory = await mkdtemp(join(tmpdir(), 'check-rls-fix-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true });
  await db.drop();
});

const check = async (options: CheckRlsOptions = {}) => {
  const outcome = { code: -1, stdout: '', stderr: '' };
  const output = {
    colors: false,
    out: (text: string) => void (outcome.stdout += text),
    err: (text: string) => void (outcome.stderr += text),
  };
  const told = { adminRole: db.roles.admin, format: 'json', ...options } as const;
  outcome.code = await checkRls(() => db.plain(), told, output);
  return outcome;
};

/** The findings as `RLS004 table "public.note"`. */
const findings = async (options?: CheckRlsOptions) => {
  const { stdout } = await check(options);
  const report = JSON.parse(stdout) as { findings: { ruleId: string; object: string; fix: string }[] };
  return report.findings.map(({ ruleId, object }) => `${ruleId} ${object}`);
};

const files = async () => (await readdir(directory)).sort();

/** With the migration role's own login. */
const withRunner = async <T>(work: (runner: MigrationRunner) => Promise<T>): Promise<T> => {
  const modules = await Promise.all(
    (await files()).map((file) => import(join(directory, file)) as Promise<Record<string, unknown>>),
  );
  const migrations = modules.flatMap((one) => Object.values(one)) as (new () => MigrationInterface)[];
  const application = { type: 'postgres', url: db.url('app'), entities: NOTES, migrations } as const;
  const source = new DataSource(
    migrationDataSourceOptions(application, { username: db.roles.migrator, password: 'test' }),
  );
  await source.initialize();
  try {
    return await work(new MigrationRunner(source, { appRole: db.roles.app }));
  } finally {
    await source.destroy();
  }
};

const migrate = () => withRunner((runner) => runner.run());

/** What `lint-migrations` has against what was written. */
const lintErrors = async () => {
  const texts = await Promise.all(
    (await files()).map(async (file) => ({ file, text: await readFile(join(directory, file), 'utf8') })),
  );
  const { findings: found } = await lintMigrations(texts, { adminRole: db.roles.admin });
  return found
    .filter(({ severity }) => severity === 'error')
    .map(({ ruleId, message }) => `${ruleId}: ${message}`);
};

/** One hole each; the comment names the rule that finds it. */
const HOLES = () => [
  'ALTER TABLE notebook DISABLE ROW LEVEL SECURITY', // RLS004
  'CREATE TABLE bare (id int PRIMARY KEY, tenant_id uuid NOT NULL)', // RLS004, RLS072
  'ALTER TABLE tag NO FORCE ROW LEVEL SECURITY', // RLS005
  'ALTER POLICY note_tenant_isolation_policy ON note USING (true) WITH CHECK (true)', // RLS007, RLS010, RLS080
  `CREATE POLICY featured ON tag USING (name = 'featured')`, // RLS007, RLS009
  `CREATE VIEW note_view AS SELECT * FROM note; GRANT SELECT ON note_view TO ${db.roles.app}`, // RLS020
  `CREATE FUNCTION notes() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM note'`, // RLS022, RLS023
  `GRANT TRUNCATE ON note TO ${db.roles.app}`, // RLS026
  `ALTER DEFAULT PRIVILEGES GRANT TRUNCATE ON TABLES TO ${db.roles.app}`, // RLS030
  'GRANT SELECT ON note TO PUBLIC', // RLS031
  'CREATE UNIQUE INDEX tag_name ON tag (name)', // RLS041
  'ALTER TABLE tag ALTER tenant_id DROP NOT NULL', // RLS043
];

const RULES_OF_HOLES = '004 005 007 009 010 020 022 023 026 030 031 041 043 072 080'
  .split(' ')
  .map((number) => `RLS${number}`);

/**
 * Whether the function is meant to see every tenant, and where the entity of `bare` is, people know. Before PostgreSQL 15 no
 * view can read as whoever reads it.
 */
const LEFT = SERVER_VERSION >= 150000 ? ['RLS022', 'RLS082'] : ['RLS020', 'RLS022', 'RLS082'];

const rulesFound = async () =>
  [...new Set((await findings({ minSeverity: 'warning' })).map((text) => text.slice(0, 6)))].sort();

const seenByA = () => db.as('app', `SET rls.current_tenant = '${A}'; SELECT body FROM note ORDER BY id`);

it('writes migrations that load, pass the lint, run as the migration role, and make the findings go away', async () => {
  await db.asSuperuser(`INSERT INTO note (tenant_id, body) VALUES ('${A}', 'a'), ('${B}', 'b')`);
  await db.as('migrator', HOLES().join(';'));
  expect(await rulesFound()).toEqual(expect.arrayContaining(RULES_OF_HOLES));
  expect(await seenByA()).toEqual([{ body: 'a' }, { body: 'b' }]);

  const { code, stdout, stderr } = await check({ fix: directory });
  expect(code).toBe(1);
  expect(() => JSON.parse(stdout) as unknown).not.toThrow();
  expect(stderr).toMatch(/^Wrote \d+ migration\(s\), and applied none:\n/);
  for (const file of await files()) expect(stderr).toContain(join(directory, file));
  // Nothing was applied.
  expect(await rulesFound()).toEqual(expect.arrayContaining(RULES_OF_HOLES));

  expect(await lintErrors()).toEqual([]);
  expect(await migrate()).toHaveLength((await files()).length);
  expect(await rulesFound()).toEqual(LEFT);
  expect(stderr).toContain('RLS022 function "public.notes()"\n');
  expect(stderr).toContain('RLS082 table "public.bare"\n');
  expect(await seenByA()).toEqual([{ body: 'a' }]);
});

it('uses the operations of the library, and runSql for what is none', async () => {
  await db.as('migrator', HOLES().join(';'));
  await check({ fix: directory });
  const texts = await Promise.all((await files()).map((file) => readFile(join(directory, file), 'utf8')));
  const text = texts.join('\n');
  expect(text).toContain(`protectTable({\n      table: 'public.bare',`);
  expect(text).toContain('alterTenantPolicy({');
  expect(text).toContain('notNull({');
  expect(text).toContain('concurrentIndex({');
  expect(text).toContain(`runSql('ALTER FUNCTION "public"."notes"() SET search_path = `);
});

it('reverting closes nothing halfway and opens no door again, and the migrations run anew', async () => {
  await db.as('migrator', HOLES().join(';'));
  await check({ fix: directory });
  const names = await migrate();
  await withRunner(async (runner) => {
    for (const name of names.toReversed()) expect(await runner.revert()).toBe(name);
  });
  const [{ truncate }] = (await db.asSuperuser(
    `SELECT has_table_privilege('${db.roles.app}', 'note', 'TRUNCATE') AS truncate`,
  )) as [{ truncate: boolean }];
  expect(truncate).toBe(false);
  expect(await migrate()).toEqual(names);
  expect(await rulesFound()).toEqual(LEFT);
});

it('writes nothing where nothing is wrong, or where it does not know the app role', async () => {
  expect(await check({ fix: directory, quiet: true })).toEqual({ code: 0, stdout: '', stderr: '' });
  await db.as('migrator', 'ALTER TABLE notebook DISABLE ROW LEVEL SECURITY');
  const superuser = await check({ fix: directory, url: db.url(), role: 'postgres' });
  expect(superuser).toMatchObject({ code: 2, stderr: expect.stringContaining('"postgres" is a superuser') });
  expect(await files()).toEqual([]);
});

it('replaces plain foreign keys by composite ones, and lets no row reference another tenant', async () => {
  await db.as(
    'migrator',
    `ALTER TABLE note ADD COLUMN label int REFERENCES tag (id) ON DELETE CASCADE;
     CREATE TABLE part (id int PRIMARY KEY, tenant_id uuid NOT NULL);
     ALTER TABLE notebook ADD COLUMN part int REFERENCES part (id)`,
  );
  const keys = () => findings({ rules: ['RLS040'] });
  expect(await keys()).toHaveLength(2);
  expect((await check({ fix: directory, rules: ['RLS040'] })).stderr).not.toContain('By hand');
  expect(await lintErrors()).toEqual([]);
  await migrate();
  expect(await keys()).toEqual([]);
  const [tag] = await db.asSuperuser<{ id: number }>(
    `INSERT INTO tag (tenant_id, name) VALUES ('${B}', 'b') RETURNING id`,
  );
  const insert = (tenantId: string) =>
    db.asSuperuser(`INSERT INTO note (tenant_id, body, label) VALUES ('${tenantId}', 'n', ${tag!.id})`);
  await expect(insert(A)).rejects.toMatchObject({ code: '23503' });
  await insert(B);
  await db.asSuperuser(`DELETE FROM tag`);
  expect(await db.asSuperuser(`SELECT FROM note`)).toEqual([]);
});

it('leaves to people what roles may become: that is no migration', async () => {
  await db.asSuperuser(`ALTER ROLE ${db.roles.app} BYPASSRLS`);
  const { stderr } = await check({ fix: directory });
  expect(await files()).toEqual([]);
  expect(stderr).toMatch(
    /^There is nothing that a migration can fix\.\nBy hand, 1 finding\(s\):\n  RLS001 role .*\n    ALTER ROLE .* NOBYPASSRLS;/,
  );
});

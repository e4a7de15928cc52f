import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkRls, type CheckRlsOptions } from '../../libs/rls-tenants/src/cli/check-rls.js';
import { NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

// The built bin, as `npm test` builds it: what users run.
const BIN = resolve('libs/rls-tenants/dist/cli/main.js');

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `rls-tenants` as a shell would. */
function rlsTenants(args: string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return new Promise((done) => {
    execFile(
      process.execPath,
      [BIN, ...args],
      { env: { ...process.env, ...env } },
      (error, stdout, stderr) => {
        done({ code: error ? Number(error.code) : 0, stdout, stderr });
      },
    );
  });
}

let db: ProtectedDatabase;
let directory: string;

beforeAll(async () => {
  db = await createProtectedDatabase(NOTES);
  directory = await mkdtemp(join(tmpdir(), 'check-rls-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true });
  await db.drop();
});

describe('checkRls', () => {
  const run = async (options: CheckRlsOptions = {}, colors = false) => {
    const outcome = { code: -1, stdout: '', stderr: '' };
    const output = {
      colors,
      out: (text: string) => void (outcome.stdout += text),
      err: (text: string) => void (outcome.stderr += text),
    };
    outcome.code = await checkRls(() => db.plain(), { adminRole: db.roles.admin, ...options }, output);
    return outcome;
  };

  const broken = async (work: () => Promise<void>) => {
    await db.as('migrator', 'ALTER TABLE note DISABLE ROW LEVEL SECURITY');
    try {
      await work();
    } finally {
      await db.as('migrator', 'ALTER TABLE note ENABLE ROW LEVEL SECURITY');
    }
  };

  it('lists every table with its policies, join tables apart, and ends with 0', async () => {
    const { code, stdout, stderr } = await run();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [subject, ...lines] = stdout.split('\n');
    expect(subject).toMatch(
      new RegExp(`^Role "${db.roles.app}" on database "${db.name}" \\(PostgreSQL \\d+`),
    );
    const text = lines.join('\n');
    expect(text.slice(0, text.indexOf('\n\nFound'))).toBe(
      `
Tenant-scoped tables:
  Note (public.note):         note_admin_policy, note_tenant_isolation_policy
  Notebook (public.notebook): notebook_admin_policy, notebook_tenant_isolation_policy
  Tag (public.tag):           tag_admin_policy, tag_tenant_isolation_policy

Join tables:
  Note (public.note_tags_tag): note_tags_tag_admin_policy, note_tags_tag_m2m_rls_policy`,
    );
    expect(text).toContain('\n\nAll 4 RLS-protected tables verified.\n\n0 critical, 0 error, ');
  });

  it('needs no entities with --url: tables are recognised, and what could not be judged is skipped', async () => {
    const withoutEntities = (options: CheckRlsOptions) => run({ url: db.url('app'), ...options });
    expect(await withoutEntities({})).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Tables that no entity declares:\n  note (public.note): '),
    });
    const { skipped } = JSON.parse((await withoutEntities({ format: 'json' })).stdout) as {
      skipped: { id: string }[];
    };
    expect(skipped).toContainEqual(expect.objectContaining({ id: 'RLS080' }));
    await db.as('migrator', 'CREATE SCHEMA empty');
    expect(await withoutEntities({ schemas: ['empty'] })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('nothing to check'),
    });
  });

  it('--verbose prints the live expressions with their command and roles', async () => {
    const { stdout } = await run({ verbose: true });
    const expression = `(tenant_id = (NULLIF(current_setting('rls.current_tenant'::text, true), ''::text))::uuid)`;
    expect(stdout.replaceAll('"tenantId"', 'tenant_id')).toContain(
      `    tag_tenant_isolation_policy [ALL] TO public
      USING ${expression}
      WITH CHECK ${expression}
`,
    );
    expect(stdout).toContain(
      `    tag_admin_policy [ALL] TO ${db.roles.admin}\n      USING true\n      WITH CHECK true\n`,
    );
  });

  it('findings stand under their tier with what to run, and end with 1', async () => {
    await broken(async () => {
      const { code, stdout, stderr } = await run({ minSeverity: 'error' });
      expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
      expect(stdout).toContain('Note (public.note)');
      expect(stdout).not.toContain('verified');
      expect(stdout).toContain(
        'Found 1 issue(s):\n\nIsolation is off\n  critical  RLS004 rls-not-enabled table "public.note"\n',
      );
      expect(stdout).toContain('Fix: ALTER TABLE "public"."note" ENABLE ROW LEVEL SECURITY;');
      expect(stdout).toMatch(/\n1 critical, 0 error, 0 warning, 0 info; \d+ rule\(s\) ran, \d+ skipped; /);
    });
  });

  it('--quiet says nothing but findings, and wins over --verbose', async () => {
    const quiet = { quiet: true, verbose: true };
    expect(await run(quiet)).toEqual({ code: 0, stdout: '', stderr: '' });
    await broken(async () => {
      const { code, stdout, stderr } = await run(quiet);
      expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
      expect(stdout).toContain('RLS004');
      expect(stdout).not.toContain('USING');
    });
  });

  it('SARIF names the data source file from the working directory, as GitHub needs it', async () => {
    await broken(async () => {
      const { stdout } = await run({ format: 'sarif', dataSource: resolve('dist/data source.js') });
      expect(stdout).toContain('"uri": "dist/data%20source.js"');
      expect(stdout).not.toContain(resolve('dist'));
    });
  });

  it('colours are there only if asked for', async () => {
    await broken(async () => {
      expect(await run({}, true)).toMatchObject({
        stdout: expect.stringContaining('\u001B[31m'),
      });
      const { stdout, stderr } = await run();
      expect(stdout + stderr).not.toContain('\u001B');
    });
  });
});

describe('rls-tenants check-rls', () => {
  /** A data source file of the application whose entities are all tenant-scoped: one table, `note`. */
  const file = async (name: string, source: string) => {
    const path = join(directory, name);
    await writeFile(path, source);
    return path;
  };
  const fileUrl = (path: string) => pathToFileURL(resolve(path)).href;
  const imports = (url: string) => `
    import { DataSource } from '${fileUrl('node_modules/typeorm/index.mjs')}';
    import { TenantColumn, TenantScoped } from '${fileUrl('libs/rls-tenants/dist/index.js')}';
    import { Column, Entity, PrimaryGeneratedColumn } from '${fileUrl('node_modules/typeorm/index.mjs')}';
    class Note {}
    PrimaryGeneratedColumn()(Note.prototype, 'id');
    TenantColumn({ type: 'uuid' })(Note.prototype, 'tenantId');
    Column({ type: 'text' })(Note.prototype, 'body');
    Entity()(Note);
    TenantScoped()(Note);
    const options = { type: 'postgres', url: '${url}', entities: [Note], logging: true, migrationsRun: true, dropSchema: true, synchronize: true };`;

  let healthy: string;

  beforeAll(async () => {
    healthy = await file(
      'data-source.mjs',
      `${imports(db.url('app'))} export const dataSource = new DataSource(options); export default dataSource;`,
    );
  });

  const check = (args: string[], env?: NodeJS.ProcessEnv) =>
    rlsTenants(['check-rls', '--admin-role', db.roles.admin, ...args], env);

  it('ends with 0 on a clean database, and changes nothing of it whatever the data source says', async () => {
    const { code, stdout, stderr } = await check(['--data-source', healthy]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('All 4 RLS-protected tables verified.');
    // dropSchema and synchronize are on in the file.
    expect(await db.asSuperuser(`SELECT to_regclass('notebook') IS NOT NULL AS there`)).toEqual([
      { there: true },
    ]);
  });

  it('--verbose, --quiet and --format json work', async () => {
    expect((await check(['--data-source', healthy, '--verbose'])).stdout).toContain('[ALL] TO public');
    expect(await check(['--data-source', healthy, '--quiet'])).toEqual({ code: 0, stdout: '', stderr: '' });
    const { code, stdout } = await check(['--data-source', healthy, '--format', 'json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      counts: { tables: 1, joinTables: 0, recognised: 3 },
    });
  });

  it('ends with 1 on findings, in JSON too', async () => {
    const superuser = await file(
      'superuser.mjs',
      `${imports(db.url())} export default new DataSource(options);`,
    );
    const { code, stdout } = await check(['--data-source', superuser, '--format', 'json']);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      findings: expect.arrayContaining([
        expect.objectContaining({ ruleId: 'RLS001' }),
        expect.objectContaining({ ruleId: 'RLS002' }),
      ]),
    });
  });

  it('--role audits another login role', async () => {
    expect((await check(['--data-source', healthy, '--role', db.roles.migrator])).code).toBe(1);
    const missing = await check(['--data-source', healthy, '--role', 'no_such_role']);
    expect(missing).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('"no_such_role" does not exist'),
    });
  });

  it('writes no colours into a pipe, with or without NO_COLOR', async () => {
    for (const env of [{}, { NO_COLOR: '1' }]) {
      const { stdout, stderr } = await check(['--data-source', healthy, '--role', db.roles.migrator], env);
      expect(stdout).toContain('RLS002');
      expect(stdout + stderr).not.toContain('\u001B');
    }
  });

  it('takes a data source from CommonJS, from a promise and under any name', async () => {
    const typeorm = resolve('node_modules/typeorm');
    const sources = {
      'one.cjs': `const { DataSource } = require('${typeorm}'); module.exports.whatever = new DataSource({ type: 'postgres', url: '${db.url('app')}' });`,
      'two.cjs': `const { DataSource } = require('${typeorm}'); module['ex' + 'ports'] = { hidden: new DataSource({ type: 'postgres', url: '${db.url('app')}' }) };`,
      'three.mjs': `${imports(db.url('app'))} export const later = Promise.resolve(new DataSource({ ...options, entities: [] }));`,
    };
    for (const [name, source] of Object.entries(sources)) {
      // It was loaded, connected and found to declare nothing.
      expect(await check(['--data-source', await file(name, source)])).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('nothing to check'),
      });
    }
  });

  it('ends with 2 where the database cannot be reached', async () => {
    const unreachable = await file(
      'unreachable.mjs',
      `${imports('postgres://app@127.0.0.1:1/nowhere')} export default new DataSource(options);`,
    );
    expect(await check(['--data-source', unreachable])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it.each([
    ['no data source', [], /No --data-source/],
    ['a file that is not there', ['--data-source', 'no-such-file.js'], /Cannot load/],
    ['a file without a data source', ['--data-source', resolve('jest.config.js')], /exports no data source/],
    ['an unknown option', ['--nope'], /unknown option '--nope'/],
    ['an unknown format', ['--format', 'xml'], /Unknown format "xml"/],
    ['an unknown severity', ['--fail-on', 'fatal'], /Unknown severity "fatal"/],
    ['an unknown rule', ['--url', 'postgres://app@127.0.0.1:1/nowhere', '--explain', 'RLS'], /no rule "RLS"/],
    ['an option without its value', ['--role'], /argument missing/],
    ['an argument', ['now'], /too many arguments/],
  ])('ends with 2 on %s', async (_name, args, message) => {
    const outcome = await check(args);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(outcome.stderr).toMatch(message);
  });

  it('ends with 2 on two different data sources in one file', async () => {
    const two = await file(
      'both.mjs',
      `${imports(db.url('app'))} export const a = new DataSource(options), b = new DataSource(options);`,
    );
    expect(await check(['--data-source', two])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('2 data sources'),
    });
  });

  it('a report longer than a pipe holds arrives whole, although the file leaves a timer running', async () => {
    const entities = `const many = Array.from({ length: 400 }, (_, n) => {
      const Many = { ['Many' + n]: class {} }['Many' + n];
      PrimaryGeneratedColumn()(Many.prototype, 'id');
      TenantColumn({ type: 'uuid' })(Many.prototype, 'tenantId');
      Entity()(Many);
      TenantScoped()(Many);
      return Many;
    });
    setInterval(() => {}, 1000);`;
    const long = await file(
      'long.mjs',
      `${imports(db.url('app'))} ${entities} export default new DataSource({ ...options, entities: many });`,
    );
    const { code, stdout } = await check(['--data-source', long, '--format', 'json']);
    expect(code).toBe(1);
    expect(stdout.length).toBeGreaterThan(65_536 * 2);
    const { findings } = JSON.parse(stdout) as { findings: { ruleId: string }[] };
    expect(findings.filter(({ ruleId }) => ruleId === 'RLS082').length).toBeGreaterThanOrEqual(400);
  });
});

describe('rls-tenants', () => {
  it.each([
    [['--help'], 0, /check-rls[^]*setup-roles/],
    [['check-rls', '--help'], 0, /Examples:[^]*Exit codes: 0 clean, 1 findings/],
    [['help', 'check-rls'], 0, /--data-source <file>/],
    [[], 2, /Usage: rls-tenants/],
    [['no-such-command'], 2, /unknown command 'no-such-command'/],
    [['--no-such-option'], 2, /unknown option/],
    [['setup-roles', '--no-such-option'], 2, /unknown option/],
  ])('%j ends with %i', async (args, code, text) => {
    const outcome = await rlsTenants(args);
    expect(outcome.code).toBe(code);
    expect(code === 0 ? outcome.stdout : outcome.stderr).toMatch(text);
  });
});

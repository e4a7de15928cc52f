import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DataSource } from 'typeorm';
import type { AuditReport } from '../../libs/rls-tenants/src/audit/index.js';
import { RlsCliModule } from '../../libs/rls-tenants/src/cli/cli.module.js';
import { runCli } from '../../libs/rls-tenants/src/cli/run-cli.js';
import { checkRls, type CheckRlsOptions } from '../../libs/rls-tenants/src/cli/check-rls.js';
import { A, B, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

jest.setTimeout(30_000);

let db: ProtectedDatabase;
beforeAll(async () => {
  db = await createProtectedDatabase(NOTES);
  await db.asSuperuser(`
    INSERT INTO notebook (tenant_id, title) VALUES ('${A}', 'a'), ('${B}', 'b');
    INSERT INTO note (tenant_id, body, "notebookId") VALUES ('${A}', 'a', 1), ('${B}', 'b', 2);
    INSERT INTO tag (tenant_id, name) VALUES ('${A}', 'a'), ('${B}', 'b');
    INSERT INTO note_tags_tag (tenant_id, "noteId", "tagId") VALUES ('${A}', 1, 1), ('${B}', 2, 2)`);
});
afterAll(() => db.drop());

async function run(options: CheckRlsOptions, load: () => Promise<DataSource> = () => db.plain()) {
  const outcome = { code: -1, stdout: '', stderr: '' };
  outcome.code = await checkRls(
    load,
    { adminRole: db.roles.admin, ...options },
    {
      colors: false,
      out: (text) => void (outcome.stdout += text),
      err: (text) => void (outcome.stderr += text),
    },
  );
  return outcome;
}

const json = async (options: CheckRlsOptions, load?: () => Promise<DataSource>) => {
  const { code, stdout, stderr } = await run({ ...options, format: 'json' }, load);
  return { code, stderr, report: (stdout === '' ? {} : JSON.parse(stdout)) as AuditReport };
};

const ofProbe = ({ findings }: AuditReport) => findings.filter(({ ruleId }) => ruleId.startsWith('PRB'));

it.each(['read', 'write'] as const)(
  '--probe %s of what the library protects finds nothing and ends with 0',
  async (mode) => {
    const { code, report } = await json({ probe: mode });
    expect(ofProbe(report)).toEqual([]);
    expect(code).toBe(0);
    expect(report.probe).toMatchObject({ mode, tenants: 2, inconclusive: [] });
    expect(report.probe!.probed.map(({ object }) => object).sort()).toEqual([
      `role "${db.roles.app}"`,
      'table "public.note"',
      'table "public.note_tags_tag"',
      'table "public.notebook"',
      'table "public.tag"',
    ]);
  },
);

it('an isolated data source is probed past its pool, which would carry a context of its own', async () => {
  const { code, report } = await json({ probe: 'write' }, () => db.isolated({ onMissingTenant: 'throw' }));
  expect({ code, found: ofProbe(report) }).toEqual({ code: 0, found: [] });
  expect(report.probe).toMatchObject({ tenants: 2, inconclusive: [] });
});

it('what gets through ends with 1, in every format', async () => {
  await db.as('migrator', 'CREATE POLICY open ON tag FOR SELECT USING (true)');
  try {
    for (const format of ['text', 'json', 'sarif', 'github', 'junit', 'markdown', 'html'] as const) {
      const { code, stdout } = await run({ probe: 'read', format });
      expect(code).toBe(1);
      expect(stdout).toMatch(/PRB003/);
    }
  } finally {
    await db.as('migrator', 'DROP POLICY open ON tag');
  }
});

it('text says how much was tried, and what was not', async () => {
  const { stdout } = await run({ probe: 'read' });
  expect(stdout).toMatch(
    /Probed reads: \d+ probe\(s\) on 5 object\(s\) with 2 tenant\(s\), 0 inconclusive\./,
  );
  expect(stdout).toContain('Skipped PRB005, PRB006: Writes were not asked for: --probe write.');
});

describe('the command line', () => {
  const file = join(tmpdir(), `probe-${process.pid}.json`);
  const command = async (...args: string[]) => {
    const url = ['--url', db.url('app'), '--admin-role', db.roles.admin];
    const code = await runCli(RlsCliModule, [
      'check-rls',
      ...url,
      '--format',
      'json',
      '--output',
      file,
      ...args,
    ]);
    const { probe } = JSON.parse(await readFile(file, 'utf8')) as AuditReport;
    return { code, mode: probe?.mode, tenants: probe?.tenants };
  };
  afterAll(() => rm(file, { force: true }));

  it('reads unless told to write, and takes tenants', async () => {
    expect(await command('--probe')).toMatchObject({ mode: 'read', tenants: 2 });
    expect(await command('--probe', 'write')).toMatchObject({ mode: 'write', tenants: 2 });
    expect(await command('--probe', '--probe-tenants', `${A}, ${B}`)).toMatchObject({
      mode: 'read',
      tenants: 2,
    });
  });

  it('ends with 2 on an unknown mode', async () => {
    const stderr = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      expect((await command('--probe', 'delete')).code).toBe(2);
      expect(stderr.mock.calls.join('')).toContain('Unknown probe mode "delete"');
    } finally {
      stderr.mockRestore();
    }
  });
});

it('without --probe nothing is tried', async () => {
  const { report } = await json({});
  expect(report.probe).toBeUndefined();
  expect(report.rules.filter(({ id }) => id.startsWith('PRB'))).toEqual([]);
});

it('what could not be probed ends with 2', async () => {
  expect(await run({ probe: 'read', probeTenants: [A] })).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('Could not probe'),
  });
  const { code, stderr } = await json({ probe: 'read', role: db.roles.migrator });
  expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('cannot become role') });
});

it('named tenants appear in no report', async () => {
  const { code, report } = await json({ probe: 'read', probeTenants: [A, B] });
  expect(code).toBe(0);
  expect(JSON.stringify(report)).not.toMatch(new RegExp(`${A}|${B}`));
});

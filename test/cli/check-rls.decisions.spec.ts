import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { AUDIT_RULES } from '../../libs/rls-tenants/src/audit/index.js';
import { CheckRlsCommand, DEFAULT_DATA_SOURCE, runCli } from '../../libs/rls-tenants/src/cli/index.js';
import { NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

let db: ProtectedDatabase;
let directory: string;

beforeAll(async () => {
  db = await createProtectedDatabase(NOTES);
  directory = await mkdtemp(join(tmpdir(), 'check-rls-decisions-'));
  // One hole of severity critical, and one that is no failure.
  await db.as(
    'migrator',
    `CREATE VIEW note_view AS SELECT * FROM note; GRANT SELECT ON note_view TO ${db.roles.app}`,
  );
});
afterAll(async () => {
  await rm(directory, { recursive: true });
  await db.drop();
});

const RULE = 'RLS020';
const OBJECT = 'view "public.note_view"';

@Module({
  providers: [CheckRlsCommand, { provide: DEFAULT_DATA_SOURCE, useValue: () => db.plain() }],
})
class TestModule {}

/** Runs the command line within this process. */
const run = async (...args: string[]) => {
  const written = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((stream) =>
    jest.spyOn(process[stream], 'write').mockImplementation((text) => {
      written[stream] += String(text);
      return true;
    }),
  );
  try {
    const code = await runCli(TestModule, ['check-rls', '--admin-role', db.roles.admin, ...args]);
    return { code, ...written };
  } finally {
    spies.forEach((spy) => spy.mockRestore());
  }
};

interface Report {
  ok: boolean;
  findings: { ruleId: string; object: string; severity: string; message: string }[];
  accepted: { finding: { ruleId: string }; by: string; reason?: string }[];
  skipped: { id: string; reason: string }[];
  rules: { id: string }[];
  notes: string[];
  belowMinimum: number;
}
const json = async (...args: string[]) => {
  const { code, stdout } = await run('--format', 'json', ...args);
  return { code, report: JSON.parse(stdout) as Report };
};
const failures = ({ findings }: Report) =>
  findings.filter(({ severity }) => /critical|error/.test(severity)).map(({ ruleId }) => ruleId);
const file = async (name: string, content: unknown) => {
  const path = join(directory, name);
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
};

describe('check-rls without decisions', () => {
  it('fails on what the view shows', async () => {
    const { code, report } = await json();
    expect({ code, ok: report.ok, failures: failures(report) }).toEqual({
      code: 1,
      ok: false,
      failures: [RULE],
    });
  });
});

describe('--rule and --exclude-rule', () => {
  it('take ids separated by commas and repeated', async () => {
    const { report } = await json('--rule', 'RLS004,RLS005', '--rule', RULE);
    expect(report.rules.map(({ id }) => id)).toEqual(['RLS004', 'RLS005', RULE]);
    const excluded = await json('--exclude-rule', `${RULE}, RLS004`, '--exclude-rule', 'RLS005');
    expect(excluded.code).toBe(0);
    const reasons = excluded.report.skipped.filter(({ id }) => [RULE, 'RLS004', 'RLS005'].includes(id));
    expect(reasons.map(({ reason }) => reason)).toEqual(Array(3).fill('It was excluded.'));
  });

  it('end with 2 where no rule is left to run, or one does not exist', async () => {
    expect(await run('--rule', RULE, '--exclude-rule', RULE)).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('Nothing was checked: every rule was skipped.'),
    });
    expect(await run('--url', db.url('app'), '--rule', 'RLS080')).toMatchObject({ code: 2, stdout: '' });
    expect(await run('--rule', 'RLS999')).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('--min-severity and --fail-on', () => {
  it('choose what is shown and what fails', async () => {
    const all = (await json()).report.findings.length;
    const { report } = await json('--min-severity', 'error');
    expect(report.findings).toHaveLength(1);
    expect(report.belowMinimum).toBe(all - 1);
    expect((await json('--exclude-rule', RULE)).code).toBe(0);
    expect((await json('--exclude-rule', RULE, '--fail-on', 'info')).code).toBe(1);
  });

  it('end with 2 where findings that are not shown would fail', async () => {
    expect(await run('--min-severity', 'critical')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--min-severity critical would not show them'),
    });
    expect((await run('--min-severity', 'critical', '--fail-on', 'critical')).code).toBe(1);
  });
});

describe('--config', () => {
  it('accepts findings for a reason, and says so', async () => {
    const allow = [{ rule: RULE, object: 'view *', reason: 'Support needs it.' }];
    const { code, report } = await json('--config', await file('allow.json', { allow }));
    expect({ code, ok: report.ok, failures: failures(report) }).toEqual({ code: 0, ok: true, failures: [] });
    expect(report.accepted).toMatchObject([{ by: 'allow-list', reason: 'Support needs it.' }]);
  });

  it('a finding comes back when its entry has expired, and a stale entry is reported', async () => {
    const allow = [
      { rule: RULE, object: OBJECT, reason: 'Until the rewrite.', expires: '2020-01-01' },
      { rule: 'RLS004', object: 'table "public.gone"', reason: 'Long gone.' },
    ];
    const { code, report } = await json('--config', await file('expired.json', { allow }));
    expect(code).toBe(1);
    expect(report.findings[0]!.message).toContain('(Until the rewrite.): that entry has expired.');
    expect(report.notes).toEqual([
      'The allow list accepts RLS004 of table "public.gone", which nothing matches: remove it.',
    ]);
  });

  it('sets severities; a rule that is off is skipped, unless it is asked for', async () => {
    const milder = await file('milder.json', { rules: { [RULE]: 'warning' } });
    expect((await json('--config', milder)).code).toBe(0);
    const off = await file('off.json', { rules: { [RULE]: 'off' } });
    const { code, report } = await json('--config', off);
    expect(code).toBe(0);
    expect(report.skipped).toContainEqual(
      expect.objectContaining({ id: RULE, reason: 'The configuration file turns it off.' }),
    );
  });

  it.each([
    ['is not there', undefined, /There is no configuration file/],
    ['is no JSON', '{', /is no JSON/],
    ['gives no reason', { allow: [{ rule: RULE, object: OBJECT }] }, /allow\[0\] has no reason/],
    [
      'names an unknown rule',
      { allow: [{ rule: 'RLS999', object: '*', reason: 'x' }] },
      /"RLS999" that does not exist/,
    ],
    [
      'has a malformed date',
      { allow: [{ rule: RULE, object: '*', reason: 'x', expires: '31.1.2027' }] },
      /which is no day/,
    ],
  ])('ends with 2 if it %s', async (_why, content, message) => {
    const path = content === undefined ? join(directory, 'none.json') : await file('bad.json', content);
    const { code, stdout, stderr } = await run('--config', path);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});

describe('--baseline', () => {
  it('lets what was there before pass, and nothing new', async () => {
    const baseline = join(directory, 'baseline.json');
    expect((await run('--baseline', baseline, '--update-baseline', '--quiet')).code).toBe(0);
    expect(JSON.parse(await readFile(baseline, 'utf8'))).toMatchObject({
      version: 1,
      findings: expect.arrayContaining([{ ruleId: RULE, object: OBJECT, severity: 'critical' }]),
    });
    const { code, report } = await json('--baseline', baseline);
    expect({ code, findings: report.findings }).toEqual({ code: 0, findings: [] });
    await db.as('migrator', 'ALTER TABLE tag NO FORCE ROW LEVEL SECURITY');
    try {
      const worse = await json('--baseline', baseline);
      expect({ code: worse.code, failures: failures(worse.report) }).toEqual({
        code: 1,
        failures: ['RLS005'],
      });
    } finally {
      await db.as('migrator', 'ALTER TABLE tag FORCE ROW LEVEL SECURITY');
    }
  });

  it('an update with some of the rules keeps what the others found', async () => {
    const baseline = join(directory, 'partial.json');
    await run('--baseline', baseline, '--update-baseline');
    const before = await readFile(baseline, 'utf8');
    await run('--baseline', baseline, '--update-baseline', '--rule', 'RLS004');
    expect(await readFile(baseline, 'utf8')).toBe(before);
  });

  it('reports what is no longer found', async () => {
    const findings = [{ ruleId: 'RLS005', object: 'table "public.tag"', severity: 'error' }];
    const baseline = await file('old.json', { version: 1, findings });
    const { report } = await json('--baseline', baseline);
    expect(report.notes).toEqual([expect.stringContaining('RLS005 of table "public.tag"')]);
  });

  it('ends with 2 where it is not there, is none, or is to be written nowhere', async () => {
    expect((await run('--baseline', join(directory, 'none.json'))).code).toBe(2);
    expect((await run('--baseline', await file('no-baseline.json', {}))).code).toBe(2);
    expect(await run('--update-baseline')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no --baseline'),
    });
  });
});

describe('--format and --output', () => {
  it('write the report into a file, without colours, and nothing to stdout', async () => {
    const output = join(directory, 'report.sarif');
    expect(await run('--format', 'sarif', '--output', output)).toEqual({ code: 1, stdout: '', stderr: '' });
    const { runs } = JSON.parse(await readFile(output, 'utf8')) as { runs: { results: object[] }[] };
    expect(runs[0]!.results[0]).toMatchObject({ ruleId: RULE, level: 'error' });
  });

  it.each(['sarif', 'github', 'junit', 'markdown', 'html'])('%s goes to stdout alone', async (format) => {
    const { code, stdout, stderr } = await run('--format', format);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toContain(RULE);
    expect(stdout).toContain('RLS076');
  });

  it('end with 2 where the file cannot be written', async () => {
    expect((await run('--output', join(directory, 'no', 'such', 'directory'))).code).toBe(2);
  });
});

describe('--explain', () => {
  it.each(AUDIT_RULES.map(({ id, title, reason }) => [id, title, reason]))(
    '%s prints its page without a database',
    async (id, title, reason) => {
      const { code, stdout } = await run('--url', 'postgres://127.0.0.1:1/nowhere', '--explain', id);
      expect(code).toBe(0);
      expect(stdout).toMatch(new RegExp(`^# ${id} ${title}\n`));
      for (const part of [reason, 'Severity: ', 'Tier ', '## What leaks', '## Fix'])
        expect(stdout).toContain(part);
    },
  );

  it.each(['RLS999', '../../package', 'README'])('ends with 2 on %s', async (id) => {
    expect(await run('--explain', id)).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('There is no rule'),
    });
  });
});

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RlsCliModule, runCli } from '../../libs/rls-tenants/src/cli/index.js';
import {
  lintMigrationFiles,
  type LintMigrationsOptions,
} from '../../libs/rls-tenants/src/cli/lint-migrations.js';
import { LINT_RULES } from '../../libs/rls-tenants/src/lint/index.js';
import { migration } from './lint-support.js';

const BAD = migration('await queryRunner.query(`CREATE INDEX a ON note (b)`);');
const GOOD = migration('await queryRunner.query(`ALTER TABLE note ADD COLUMN b text`);');

let directory: string;
const before = process.cwd();

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lint-'));
  process.chdir(directory);
});
afterEach(() => {
  process.chdir(before);
  rmSync(directory, { recursive: true });
});

function write(file: string, text: string): void {
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, text);
}

async function run(paths: string[], options: LintMigrationsOptions = {}) {
  const outcome = { code: -1, out: '', err: '' };
  outcome.code = await lintMigrationFiles(
    paths,
    { squawk: false, ...options },
    {
      colors: false,
      out: (text) => void (outcome.out += text),
      err: (text) => void (outcome.err += text),
    },
  );
  return outcome;
}

describe('lint-migrations ends', () => {
  it('with 0 for clean migrations, and says what it read', async () => {
    write('m/a.ts', GOOD);
    const { code, out, err } = await run(['m']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toBe(
      'Read 1 file(s), 1 migration(s): 2 statement(s), 0 operation(s) of the library, 0 that cannot be read; 0 finding(s) suppressed.\nSkipped squawk: switched off.\n0 error(s), 0 warning(s)\n',
    );
  });

  it('with 0 for warnings and with 1 for errors', async () => {
    write('warning.ts', migration('await queryRunner.query(`DROP INDEX a`);'));
    write('error.ts', BAD);
    expect((await run(['warning.ts'])).code).toBe(0);
    expect((await run(['error.ts'])).code).toBe(1);
  });

  it.each([
    ['no files', () => [], 'No files are named.'],
    ['a file that does not exist', () => ['none.ts'], 'none.ts cannot be read.'],
    ['an empty directory', () => (mkdirSync('empty'), ['empty']), 'There are no migration files in empty.'],
    [
      'a file that cannot be parsed',
      () => (write('a.ts', 'export class {'), ['a.ts']),
      'a.ts:1 cannot be parsed',
    ],
    [
      'files without migrations',
      () => (write('a.ts', 'export {};'), ['a.ts']),
      'There is no migration in a.ts.',
    ],
  ])('with 2 for %s', async (_, paths, message) => {
    const { code, out, err } = await run(paths());
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(`lint-migrations could not lint: ${message}`);
  });

  it('with 2 for an option that it does not know', async () => {
    const written = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      write('a.ts', GOOD);
      expect(await runCli(RlsCliModule, ['lint-migrations', 'a.ts', '--format', 'xml'])).toBe(2);
      expect(await runCli(RlsCliModule, ['lint-migrations', 'a.ts', '--nonsense'])).toBe(2);
    } finally {
      written.mockRestore();
    }
  });
});

describe('the report', () => {
  it('goes to a file on demand', async () => {
    write('a.ts', BAD);
    expect(await run(['a.ts'], { output: 'report.txt' })).toEqual({ code: 1, out: '', err: '' });
    expect(readFileSync('report.txt', 'utf8')).toContain(
      'a.ts:3:26 MIG020 create-index-not-concurrent (error)',
    );
  });

  it('as JSON holds findings with their corrected files, and what was read', async () => {
    write('a.ts', BAD);
    const { out } = await run(['a.ts'], { format: 'json' });
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      findings: [
        {
          ruleId: 'MIG020',
          severity: 'error',
          file: 'a.ts',
          line: 3,
          column: 26,
          files: [{ name: '1760000000001-note-indexes.ts' }],
        },
      ],
      coverage: { files: 1, migrations: 1, statements: 2, unanalyzable: 0 },
      skipped: ['squawk: switched off.'],
    });
  });

  it('for GitHub is one command a line, with escaped text', async () => {
    write('a,b.ts', BAD);
    const { out } = await run(['a,b.ts'], { format: 'github' });
    const [command, ...notes] = out.trimEnd().split('\n');
    expect(command).toMatch(
      /^::error file=a%2Cb\.ts,line=3,col=26,title=MIG020 create-index-not-concurrent::SHARE lock on "note": .*%0AFix: /,
    );
    expect(notes.every((note) => note.startsWith('::notice::'))).toBe(true);
  });

  it('as SARIF 2.1.0 has what the format requires: a version, a driver, known rules, a text and a place', async () => {
    write('m m/a.ts', BAD);
    const sarif = JSON.parse((await run(['m m/a.ts'], { format: 'sarif' })).out) as {
      version: string;
      runs: {
        tool: {
          driver: {
            name: string;
            rules: {
              id: string;
              shortDescription: { text: string };
              fullDescription: { text: string };
              help: { text: string };
            }[];
          };
        };
        results: unknown[];
        invocations: { executionSuccessful: boolean }[];
      }[];
    };
    const [{ tool, results, invocations }] = sarif.runs as [(typeof sarif.runs)[0]];
    expect(sarif.version).toBe('2.1.0');
    expect(tool.driver.name).toBe('rls-tenants lint-migrations');
    expect(tool.driver.rules.map(({ id }) => id)).toEqual(LINT_RULES.map(({ id }) => id));
    const texts = tool.driver.rules.flatMap((rule) => [
      rule.shortDescription.text,
      rule.fullDescription.text,
      rule.help.text,
    ]);
    expect(texts.filter((text) => !(text.length > 0))).toEqual([]);
    expect(invocations).toMatchObject([{ executionSuccessful: true }]);
    expect(results).toEqual([
      {
        ruleId: 'MIG020',
        level: 'error',
        message: { text: expect.stringContaining('SHARE lock') as string },
        locations: [
          {
            physicalLocation: {
              artifactLocation: { uri: 'm%20m/a.ts', uriBaseId: '%SRCROOT%' },
              region: { startLine: 3, startColumn: 26 },
            },
          },
        ],
      },
    ]);
  });
});

describe('the page about linting', () => {
  it('shows what the command prints', async () => {
    const page = readFileSync(join(before, 'docs/migrations/linting.md'), 'utf8');
    const [, migrationText, printed] = /```ts\n([^]*?)```\n\n```text\n([^]*?)```\n/.exec(page)!;
    symlinkSync(join(before, 'node_modules'), 'node_modules');
    write('src/migrations/1760000000000-note-title.ts', migrationText!);
    expect((await run(['src/migrations'], { squawk: true })).out).toBe(printed);
  });
});

describe('a report in SARIF', () => {
  it('describes every rule that has a result, those of squawk too', async () => {
    // squawk is found from where the command runs.
    symlinkSync(join(before, 'node_modules'), 'node_modules');
    write('a.ts', migration('await queryRunner.query(`DROP DATABASE d`);'));
    const { out } = await run(['a.ts'], { format: 'sarif', squawk: true });
    const [{ tool, results }] = (
      JSON.parse(out) as {
        runs: [{ tool: { driver: { rules: { id: string }[] } }; results: { ruleId: string }[] }];
      }
    ).runs;
    const used = results.map(({ ruleId }) => ruleId);
    expect(used.some((ruleId) => ruleId.startsWith('squawk/'))).toBe(true);
    expect(used.filter((used) => !tool.driver.rules.some(({ id }) => id === used))).toEqual([]);
  });
});

describe('--since', () => {
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b.c', ...args], { stdio: 'pipe' });

  it('lints what changed and what is new, and reads the rest for what it says of tables', async () => {
    git('init', '-q');
    const old = BAD.replace('CREATE INDEX a ON note (b)', 'CREATE TABLE note (tenant_id uuid)');
    write('m/old.ts', old);
    write('m/changed.ts', GOOD.replace('1760000000000', '1760000000001'));
    git('add', '.');
    git('commit', '-qm', 'first');
    expect(await run(['m'], { since: 'HEAD' })).toMatchObject({ code: 0 });
    write('m/changed.ts', BAD.replace('1760000000000', '1760000000001'));
    write('m/new.ts', BAD.replace('1760000000000', '1760000000002').replace('INDEX', 'UNIQUE INDEX'));
    for (const paths of [['m'], []]) {
      const { code, out } = await run(paths, { since: 'HEAD', format: 'json' });
      const { findings } = JSON.parse(out) as { findings: { file: string; ruleId: string }[] };
      expect(code).toBe(1);
      expect(findings.map(({ file, ruleId }) => `${file} ${ruleId}`)).toEqual([
        'm/changed.ts MIG020',
        'm/changed.ts MIG062',
        'm/new.ts MIG020',
        'm/new.ts MIG061',
      ]);
    }
  });

  it('with what is no ref, or outside a repository, ends with 2', async () => {
    write('a.ts', GOOD);
    expect((await run(['a.ts'], { since: 'HEAD' })).code).toBe(2);
    git('init', '-q');
    for (const since of ['nonsense', '--output=x']) {
      const { code, err } = await run(['a.ts'], { since });
      expect({ code, err }).toEqual({
        code: 2,
        err: expect.stringContaining('git cannot tell what changed') as string,
      });
    }
  });
});

it('says that squawk was skipped where it is not installed', async () => {
  write('a.ts', GOOD);
  const { code, out } = await run(['a.ts'], { squawk: true });
  expect(code).toBe(0);
  expect(out).toContain('Skipped squawk: squawk-cli is not installed');
});

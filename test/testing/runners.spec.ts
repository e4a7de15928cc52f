import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = resolve(__dirname, '../..');
const EXAMPLE = join(__dirname, 'example');

interface Run {
  code: number | null;
  output: string;
  /** The data directories of servers that the run has left. */
  left: string[];
}

/** Runs the example's tests with a runner, on the built library, with a server of the runner's own. */
async function run(program: string, ...args: string[]): Promise<Run> {
  const temporary = mkdtempSync(join(tmpdir(), 'kit-'));
  // As root the server runs as nobody, who must get through.
  chmodSync(temporary, 0o711);
  const { RLS_TEST_DATABASE_URL: _url, RLS_TEST_RUN: _run, ...env } = process.env;
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...env, TMPDIR: temporary, NO_COLOR: '1', FORCE_COLOR: '0', NODE_OPTIONS: '' },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += String(text)));
  const code = await new Promise<number | null>((done) => child.on('close', done));
  const left = readdirSync(temporary).filter((name) => name.startsWith('rls-postgres-'));
  rmSync(temporary, { recursive: true, force: true });
  return { code, output, left };
}

describe('the fixture and the kit', () => {
  const bin = (name: string) => join(ROOT, 'node_modules/.bin', name);

  it('run on Vitest', async () => {
    const { code, output, left } = await run(bin('vitest'), 'run', '--root', EXAMPLE);
    expect(output).toMatch(/Tests\s+4 passed \(4\)/);
    expect({ code, left }).toEqual({ code: 0, left: [] });
  }, 120_000);

  it('run on Jest', async () => {
    const config = join(EXAMPLE, 'jest.config.js');
    const { code, output, left } = await run(bin('jest'), '--config', config, '--rootDir', EXAMPLE);
    expect(output).toMatch(/Tests:\s+4 passed, 4 total/);
    expect({ code, left }).toEqual({ code: 0, left: [] });
  }, 120_000);

  it('run on node:test, without a global set-up', async () => {
    const { code, output, left } = await run(
      process.execPath,
      '--test',
      join(EXAMPLE, 'isolation.node-test.mjs'),
    );
    expect(output).toMatch(/pass 3\n/);
    expect({ code, left }).toEqual({ code: 0, left: [] });
  }, 120_000);
});

describe('the guide', () => {
  it.each([
    'task.entity.ts',
    'create-tasks.migration.ts',
    'isolation.test.ts',
    'vitest.config.ts',
    'jest.config.js',
  ])('shows %s as it runs here', (file) => {
    const guide = readFileSync(join(ROOT, 'docs/guides/testing.md'), 'utf8');
    const code = readFileSync(join(EXAMPLE, file), 'utf8');
    expect(guide).toContain(`// ${file}\n${code}`);
  });
});

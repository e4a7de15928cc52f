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
    const { code, output, left } = await run(bin('vitest'), 'run', '--cache=false', '--root', EXAMPLE);
    expect(output).toMatch(/Tests\s+5 passed \(5\)/);
    expect({ code, left }).toEqual({ code: 0, left: [] });
  }, 120_000);

  it('run on Jest', async () => {
    const config = join(EXAMPLE, 'jest.config.js');
    const { code, output, left } = await run(bin('jest'), '--config', config, '--rootDir', EXAMPLE);
    expect(output).toMatch(/Tests:\s+5 passed, 5 total/);
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
  const lines = (text: string) =>
    text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .join('\n');
  const guide = readFileSync(join(ROOT, 'docs/guides/testing.md'), 'utf8');
  const samples = [...guide.matchAll(/```(?:ts|js)\n(.*?)```/gs)].map(([, sample]) => lines(sample!));
  const files = readdirSync(EXAMPLE, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => `// ${name}\n${readFileSync(join(EXAMPLE, name), 'utf8')}`);

  it('shows whole files that run here, and parts of files that compile', () => {
    expect(samples.length).toBeGreaterThan(6);
    const unknown = samples.filter((sample) => !files.some((file) => lines(file).includes(sample)));
    expect(unknown).toEqual([]);
  });
});

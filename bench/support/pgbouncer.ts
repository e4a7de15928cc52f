import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface PgBouncer {
  readonly port: number;
  /** As PgBouncer says: `1.18.0`. */
  readonly version: string;
  /** The same connection string, through PgBouncer. */
  url(connectionString: string): string;
  stop(): Promise<void>;
}

/** PgBouncer's version; undefined if it is not on this machine. */
export function pgBouncerVersion(): string | undefined {
  try {
    return /PgBouncer (\S+)/.exec(execFileSync('pgbouncer', ['--version'], { encoding: 'utf8' }))?.[1];
  } catch {
    return undefined;
  }
}

/** PgBouncer's version. To be asked before anything is started. @throws if it is not on this machine. */
export function requirePgBouncer(): string {
  const version = pgBouncerVersion();
  if (version === undefined)
    throw new Error('There is no pgbouncer on this machine: install it first (apt-get install pgbouncer).');
  return version;
}

export interface PgBouncerOptions {
  /** Of the PostgreSQL server. */
  host?: string;
  port: number;
  /** Roles that may connect, with the passwords that the server asks for. */
  users: Record<string, string>;
  /** Connections to the server, for each role and database. */
  poolSize: number;
}

/** Starts PgBouncer in transaction pooling mode, for every database of the server. */
export async function startPgBouncer(options: PgBouncerOptions): Promise<PgBouncer> {
  const version = requirePgBouncer();
  const home = mkdtempSync(join(tmpdir(), 'rls-bench-pgbouncer-'));
  chmodSync(home, 0o755);
  const port = await freePort();
  const config = join(home, 'pgbouncer.ini');
  writeFileSync(
    config,
    `[databases]
* = host=${options.host ?? '127.0.0.1'} port=${options.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(home, 'users.txt')}
pool_mode = transaction
default_pool_size = ${options.poolSize}
max_client_conn = 400
`,
  );
  const users = Object.entries(options.users).map(([role, password]) => `"${role}" "${password}"\n`);
  writeFileSync(join(home, 'users.txt'), users.join(''));
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const server = spawn('pgbouncer', ['-q', ...asNobody, config], { stdio: 'ignore' });
  await listening(port);
  return {
    port,
    version,
    url: (connectionString) => {
      const pooled = new URL(connectionString);
      pooled.hostname = '127.0.0.1';
      pooled.port = String(port);
      return pooled.toString();
    },
    async stop() {
      const exited = once(server, 'exit');
      server.kill('SIGINT');
      await exited;
      rmSync(home, { recursive: true, force: true });
    },
  };
}

async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const socket = connect(port, '127.0.0.1');
    const open = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (open) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error('PgBouncer did not start.');
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return port;
}

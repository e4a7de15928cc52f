import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestDatabase } from './database.js';

export interface PgBouncer {
  /** Connection string of the app role through PgBouncer. */
  readonly url: string;
  stop(): Promise<void>;
}

/** True if PgBouncer is on this machine: CI installs it, a developer's machine may lack it. */
export function hasPgBouncer(): boolean {
  try {
    execFileSync('pgbouncer', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Starts real PgBouncer in transaction pooling mode, with fewer server connections than a pool has clients. */
export async function startPgBouncer(db: TestDatabase): Promise<PgBouncer> {
  const home = mkdtempSync(join(tmpdir(), 'rls-pgbouncer-'));
  chmodSync(home, 0o755);
  const target = new URL(db.url('app'));
  const port = await freePort();
  const config = join(home, 'pgbouncer.ini');
  writeFileSync(join(home, 'users.txt'), `"${target.username}" "${target.password}"\n`);
  writeFileSync(
    config,
    `[databases]
${db.name} = host=${target.hostname} port=${target.port} dbname=${db.name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(home, 'users.txt')}
pool_mode = transaction
default_pool_size = 2
max_client_conn = 100
`,
  );
  // PgBouncer refuses to run as root.
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const server = spawn('pgbouncer', ['-q', ...asNobody, config], { stdio: 'ignore' });
  const exited = new Promise((done) => server.once('exit', done));
  await listening(port, server);
  target.port = String(port);
  target.hostname = '127.0.0.1';
  return {
    url: target.toString(),
    async stop() {
      server.kill('SIGINT');
      await exited;
      rmSync(home, { recursive: true, force: true });
    },
  };
}

async function listening(port: number, server: { exitCode: number | null }): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const open = await new Promise<boolean>((done) => {
      const socket = connect(port, '127.0.0.1', () => done(true)).once('error', () => done(false));
      socket.once('connect', () => socket.destroy());
    });
    if (open) return;
    if (server.exitCode !== null) break;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error('PgBouncer did not start');
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address() as AddressInfo;
  await new Promise((done) => probe.close(done));
  return port;
}

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@nats-io/transport-node';
import { freePort } from './redis.js';

export interface NatsServer {
  /** `host:port`, as the option `servers` of clients has it. */
  readonly servers: string;
  stop(): Promise<void>;
}

/** True if NATS is on this machine: CI installs it, a developer's machine may lack it. */
export function hasNats(): boolean {
  try {
    execFileSync('nats-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Starts a real NATS server of this test's own, with `config` as in its configuration file. */
export async function startNats(config = ''): Promise<NatsServer> {
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), 'nats-'));
  const file = join(directory, 'nats.conf');
  await writeFile(file, config);
  const server = spawn('nats-server', ['--addr', '127.0.0.1', '--port', String(port), '--config', file], {
    stdio: 'ignore',
  });
  const exited = new Promise((done) => server.once('exit', done).once('error', done));
  const stop = async () => {
    // Without a pid, where the program is missing, it would be this process's group.
    if (server.pid) server.kill('SIGTERM');
    await exited;
    await rm(directory, { recursive: true });
  };
  const servers = `127.0.0.1:${port}`;
  try {
    await listening(servers, server);
  } catch (error) {
    await stop();
    throw error;
  }
  return { servers, stop };
}

async function listening(servers: string, server: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 100 && server.pid && server.exitCode === null; attempt += 1) {
    const connection = await connect({ servers, reconnect: false }).catch(() => undefined);
    if (connection) return connection.close();
    await sleep(50);
  }
  throw new Error('NATS did not start');
}

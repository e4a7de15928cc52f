import { execFileSync, spawn } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

export interface RedisServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** True if Redis is on this machine: CI installs it, a developer's machine may lack it. */
export function hasRedis(): boolean {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Starts a real Redis of this test's own, which keeps nothing on disk. */
export async function startRedis(): Promise<RedisServer> {
  const port = await freePort();
  const memoryOnly = ['--save', '', '--appendonly', 'no'];
  const server = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', ...memoryOnly], {
    stdio: 'ignore',
  });
  const exited = new Promise((done) => server.once('exit', done));
  await listening(port, server);
  return {
    port,
    async stop() {
      server.kill('SIGTERM');
      await exited;
    },
  };
}

async function listening(port: number, server: { exitCode: number | null }): Promise<void> {
  const client = new Redis({ port, host: '127.0.0.1', lazyConnect: true, retryStrategy: () => 50 });
  client.on('error', () => {});
  try {
    for (let attempt = 0; attempt < 100 && server.exitCode === null; attempt += 1) {
      if (client.status === 'wait') await client.connect().catch(() => {});
      if (client.status === 'ready') return;
      await sleep(50);
    }
  } finally {
    client.disconnect();
  }
  throw new Error('Redis did not start');
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address() as AddressInfo;
  await new Promise((done) => probe.close(done));
  return port;
}

import { readFileSync } from 'node:fs';
import { DataSource } from 'typeorm';
import { isolateDataSource, tenantContext } from 'nestjs-rls-tenants';
import type { Tenants } from '../support/contender.js';
import { interleave } from '../support/rounds.js';
import { APP_ROLE, type BenchServer } from '../support/server.js';

/** A statement alone; with the front before it; with the front, on the table that has the policy. */
export type Batch = 'alone' | 'front' | 'policy';
export const BATCHES: readonly Batch[] = ['alone', 'front', 'policy'];

/** Microseconds for one batch, round by round. */
export interface FrontSamples {
  elapsed: Record<Batch, number[]>;
  /** CPU time of the server's process; undefined where the system does not tell. */
  cpu: Record<Batch, number[]> | undefined;
}

/** The parts of node-postgres' client that a batch of ready bytes needs. */
interface Client {
  connection: { stream: { write(bytes: Uint8Array): boolean } };
  query(config: unknown, values?: unknown[]): Promise<unknown>;
  release(): void;
}

const WARM_UP_STATEMENTS = 10;

/** What the front costs the server: the same bytes over and over, so that no client code is measured. */
export async function measureFront(
  server: BenchServer,
  rows: Tenants,
  rounds: number,
  count: number,
): Promise<FrontSamples> {
  // 'empty', or bytes without a text would be refused.
  const dataSource = new DataSource({ type: 'postgres', url: server.url(APP_ROLE), poolSize: 1 });
  await isolateDataSource(await dataSource.initialize(), { tenantIdType: 'uuid', onMissingTenant: 'empty' });
  const { master } = dataSource.driver as unknown as { master: { connect(): Promise<Client> } };
  const client = await master.connect();
  try {
    const batches = await recordBatches(client, rows.tenants[0]!, rows.ids[0]![0]!);
    const { rows: pids } = (await client.query('SELECT pg_backend_pid() AS pid')) as {
      rows: { pid: number }[];
    };
    return await replayInRounds(client, batches, cpuClock(pids[0]!.pid), rounds, count);
  } finally {
    client.release();
    await dataSource.destroy();
  }
}

async function recordBatches(client: Client, tenantId: string, id: string): Promise<Record<Batch, Buffer>> {
  const plain = () =>
    client.query('SELECT * FROM plain.task WHERE id = $1 AND tenant_id = $2', [id, tenantId]);
  const scoped = () => client.query('SELECT * FROM rls.task WHERE id = $1', [id]);
  return {
    alone: await recordBytes(client, plain),
    front: await recordBytes(client, () => tenantContext(tenantId, plain)),
    policy: await recordBytes(client, () => tenantContext(tenantId, scoped)),
  };
}

/** What a statement writes to the server once its connection is used to such statements. */
async function recordBytes({ connection }: Client, statement: () => Promise<unknown>): Promise<Buffer> {
  for (let warmed = 0; warmed < WARM_UP_STATEMENTS; warmed++) await statement();
  const { stream } = connection;
  const write = stream.write;
  const written: Uint8Array[] = [];
  stream.write = (bytes) => {
    written.push(Uint8Array.from(bytes));
    return write.call(stream, bytes);
  };
  try {
    await statement();
  } finally {
    stream.write = write;
  }
  return Buffer.concat(written);
}

async function replayInRounds(
  client: Client,
  batches: Record<Batch, Buffer>,
  cpu: (() => number) | undefined,
  rounds: number,
  count: number,
): Promise<FrontSamples> {
  const cpuSamples: Record<Batch, number[]> = { alone: [], front: [], policy: [] };
  const turn = (batch: Batch) => async () => {
    const [started, cpuStarted] = [performance.now(), cpu?.() ?? 0];
    for (let left = count; left > 0; left--) await replay(client, batches[batch]);
    const elapsed = performance.now() - started;
    cpuSamples[batch].push(((cpu?.() ?? 0) - cpuStarted) / count);
    return (elapsed * 1000) / count;
  };
  const turns = { alone: turn('alone'), front: turn('front'), policy: turn('policy') };
  for (const warm of Object.values(turns)) await warm();
  for (const samples of Object.values(cpuSamples)) samples.length = 0;
  const elapsed = await interleave(turns, rounds);
  return { elapsed, cpu: cpu && cpuSamples };
}

/** Sends ready bytes as a statement of its own, as pg-cursor and its like do, and waits for the end of the answer. */
function replay(client: Client, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const ignore = () => {};
    void client.query({
      submit: ({ stream }: Client['connection']) => void stream.write(bytes),
      handleRowDescription: ignore,
      handleDataRow: ignore,
      handleCommandComplete: ignore,
      handleEmptyQuery: ignore,
      handleError: reject,
      handleReadyForQuery: resolve,
    });
  });
}

/** CPU time of a process in microseconds, from Linux's scheduler: the only clock that is fine enough. */
function cpuClock(pid: number): (() => number) | undefined {
  const read = () => Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1000;
  try {
    return read() > 0 ? read : undefined;
  } catch {
    return undefined;
  }
}

import { readFileSync } from 'node:fs';
import { interleave } from './rounds.js';

/** The parts of node-postgres' client that a batch of ready bytes needs. */
export interface ReplayClient {
  connection: { stream: { write(bytes: Uint8Array): boolean } };
  query(config: unknown, values?: unknown[]): Promise<unknown>;
}

/** What a client once wrote for a statement, and the connection that it is to be sent on again. */
export interface Batch {
  readonly client: ReplayClient;
  readonly bytes: Buffer;
}

/** Microseconds for one batch, round by round. */
export interface ReplaySamples<Name extends string> {
  elapsed: Record<Name, number[]>;
  /** CPU time of the server's process; undefined where the system does not tell. */
  cpu: Record<Name, number[]> | undefined;
}

const WARM_UP_STATEMENTS = 10;

/** What a statement writes to the server once its connection is used to such statements. */
export async function recordBatch(client: ReplayClient, statement: () => Promise<unknown>): Promise<Batch> {
  for (let warmed = 0; warmed < WARM_UP_STATEMENTS; warmed++) await statement();
  const { stream } = client.connection;
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
  return { client, bytes: Buffer.concat(written) };
}

/**
 * What batches cost the server: each one's bytes over and over, in turns, so that no client code is in the difference.
 *
 * @param count how often in a turn.
 */
export async function replayInRounds<Name extends string>(
  batches: Record<Name, Batch>,
  rounds: number,
  count: number,
): Promise<ReplaySamples<Name>> {
  const names = Object.keys(batches) as Name[];
  const each = async <T>(make: (name: Name) => T | Promise<T>) => {
    const made = {} as Record<Name, T>;
    for (const name of names) made[name] = await make(name);
    return made;
  };
  const clocks = await each((name) => cpuClockOf(batches[name].client));
  const cpu = await each<number[]>(() => []);
  const turns = await each((name) => async () => {
    const clock = clocks[name];
    const [started, cpuStarted] = [performance.now(), clock?.() ?? 0];
    for (let left = count; left > 0; left--) await replay(batches[name]);
    const elapsed = performance.now() - started;
    cpu[name].push(((clock?.() ?? 0) - cpuStarted) / count);
    return (elapsed * 1000) / count;
  });
  for (const name of names) await turns[name]();
  for (const name of names) cpu[name].length = 0;
  const elapsed = await interleave(turns, rounds);
  return { elapsed, cpu: names.every((name) => clocks[name]) ? cpu : undefined };
}

/** Sends ready bytes as a statement of its own, as pg-cursor and its like do, and waits for the end of the answer. */
function replay({ client, bytes }: Batch): Promise<void> {
  return new Promise((resolve, reject) => {
    const ignore = () => {};
    void client.query({
      submit: ({ stream }: ReplayClient['connection']) => void stream.write(bytes),
      handleRowDescription: ignore,
      handleDataRow: ignore,
      handleCommandComplete: ignore,
      handleEmptyQuery: ignore,
      handleError: reject,
      handleReadyForQuery: resolve,
    });
  });
}

/** CPU time of a client's backend in microseconds, from Linux's scheduler: the only clock that is fine enough. */
async function cpuClockOf(client: ReplayClient): Promise<(() => number) | undefined> {
  const { rows } = (await client.query('SELECT pg_backend_pid() AS pid')) as { rows: { pid: number }[] };
  const read = () => Number(readFileSync(`/proc/${rows[0]!.pid}/schedstat`, 'utf8').split(' ')[0]) / 1000;
  try {
    return read() > 0 ? read : undefined;
  } catch {
    return undefined;
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/** What readers and writers saw while something else went on. Milliseconds. */
export interface Traffic {
  reads: number;
  writes: number;
  longestRead: number;
  longestWrite: number;
}

/**
 * Reads and writes in a loop on connections of their own while the work goes on, with `pause` milliseconds between two
 * statements. Fails if one of them fails.
 */
export async function underTraffic(
  url: string,
  { read, write, pause = 0 }: { read: string; write: string; pause?: number },
  work: () => Promise<unknown>,
): Promise<Traffic> {
  const stop = new AbortController();
  const loop = async (sql: string) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    let count = 0;
    let longest = 0;
    try {
      while (!stop.signal.aborted) {
        const start = performance.now();
        await client.query(sql);
        longest = Math.max(longest, performance.now() - start);
        count += 1;
        if (pause > 0) await sleep(pause);
      }
    } finally {
      await client.end();
    }
    return { count, longest };
  };
  const loops = Promise.all([loop(read), loop(write)]);
  try {
    await work();
  } finally {
    stop.abort();
  }
  const [reader, writer] = await loops;
  return {
    reads: reader.count,
    writes: writer.count,
    longestRead: reader.longest,
    longestWrite: writer.longest,
  };
}

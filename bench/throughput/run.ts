import { OLDER_NODE } from '../support/node.js';
import type { BenchContext } from '../support/part.js';
import { startProxy } from '../support/proxy.js';
import { APP_ROLE, startServer } from '../support/server.js';
import { prepareDatabase } from './database.js';
import { measureBlock, type DeadlockCheck, type Measured } from './measure.js';
import { FULL_PLAN, QUICK_PLAN, type Plan } from './plan.js';
import { startLoadGenerator, type LoadGenerator } from './processes.js';

export interface ThroughputData {
  /** `PostgreSQL 18.1`. */
  postgres: string;
  plan: Omit<Plan, 'blocks'>;
  measured: Measured[];
  deadlocks: DeadlockCheck[];
  /** Of the group `older`. */
  olderNode?: string;
}

export async function run({ quick, log }: BenchContext): Promise<ThroughputData> {
  const { blocks, ...plan } = quick ? QUICK_PLAN : FULL_PLAN;
  const server = await startServer();
  const proxy = await startProxy(server.port);
  let load: LoadGenerator | undefined;
  try {
    log('preparing two schemas');
    const entities = Math.max(...blocks.flatMap((block) => block.entities));
    load = startLoadGenerator(await prepareDatabase(server, { ...plan, entities }));
    const tools = { proxy, load, url: proxy.url(server.url(APP_ROLE)), plan };
    const data: ThroughputData = {
      postgres: server.version,
      plan,
      measured: [],
      deadlocks: [],
      ...(OLDER_NODE && { olderNode: OLDER_NODE.version }),
    };
    for (const [index, block] of blocks.entries()) {
      log(
        `${index + 1} of ${blocks.length}: ${block.platform}, pool ${block.poolSize}, ${block.entities.join(', ')} entities`,
      );
      const { measured, deadlocks } = await measureBlock(block, tools);
      data.measured.push(...measured);
      data.deadlocks.push(...deadlocks);
    }
    return data;
  } finally {
    await load?.close();
    await proxy.close();
    await server.stop();
  }
}

import type { Proxy } from '../support/proxy.js';
import { interleave } from '../support/rounds.js';
import type { Isolation } from './entities.js';
import type { LoadAnswer } from './load.js';
import type { Block, Comparison, Plan, Platform } from './plan.js';
import { startApplication, type Application, type LoadGenerator } from './processes.js';

const ISOLATIONS: readonly Isolation[] = ['plain', 'rls'];

/** What the turns of one application showed, in the order of the rounds. */
export interface Samples {
  requestsPerSecond: number[];
  /** Microseconds of the application's processor time for each request. */
  processorTime: number[];
  /** Milliseconds. */
  p50: number[];
  p99: number[];
  /** Answers of all turns that were not the tenant's own rows. */
  wrong: number;
}

/** The same application with and without the library, under the same load, in the same rounds. */
export interface Measured extends Comparison {
  platform: Platform;
  poolSize: number;
  entities: number;
  plain: Samples;
  rls: Samples;
}

/** Nested transactions under a number of clients. */
export interface DeadlockCheck extends Pick<LoadAnswer, 'answered' | 'unanswered' | 'wrong' | 'slowest'> {
  platform: Platform;
  isolation: Isolation;
  poolSize: number;
  clients: number;
}

interface Tools {
  proxy: Proxy;
  load: LoadGenerator;
  /** Where the app role connects to, through the proxy. */
  url: string;
  plan: Pick<Plan, 'starts' | 'rounds' | 'turnMs' | 'warmUpMs'>;
}

interface Competitor {
  isolation: Isolation;
  entities: number;
  application: Application;
}

export async function measureBlock(
  block: Block,
  tools: Tools,
): Promise<{ measured: Measured[]; deadlocks: DeadlockCheck[] }> {
  const measured = new Map(
    block.comparisons.map((comparison) => [comparison, unmeasured(block, comparison)]),
  );
  const deadlocks: DeadlockCheck[] = [];
  for (let start = 0; start < tools.plan.starts; start++) {
    await withCompetitors(block, tools, async (competitors) => {
      await warmUp(block, competitors, tools);
      for (const [comparison, into] of measured) await compare(comparison, into, competitors, tools);
      if (start === 0) deadlocks.push(...(await checkDeadlocks(block, competitors, tools)));
    });
  }
  return { measured: [...measured.values()].flat(), deadlocks };
}

async function withCompetitors(
  { platform, poolSize, entities, interceptor = false, node }: Block,
  { proxy, url }: Tools,
  fn: (competitors: readonly Competitor[]) => Promise<void>,
): Promise<void> {
  const competitors: Competitor[] = [];
  try {
    await proxy.setLatency(0);
    for (const count of entities) {
      for (const isolation of ISOLATIONS) {
        const options = {
          platform,
          poolSize,
          isolation,
          entities: count,
          interceptor: interceptor && isolation === 'plain',
          url,
        };
        competitors.push({ isolation, entities: count, application: await startApplication(options, node) });
      }
    }
    await fn(competitors);
  } finally {
    for (const { application } of competitors) await application.close();
  }
}

async function warmUp(block: Block, competitors: readonly Competitor[], tools: Tools): Promise<void> {
  const clients = Math.max(...block.comparisons.map((comparison) => comparison.clients));
  const endpoints = [...new Set(block.comparisons.map(({ endpoint }) => endpoint))];
  for (const { application } of competitors) {
    for (const endpoint of endpoints) {
      const milliseconds = tools.plan.warmUpMs / endpoints.length;
      await tools.load.run({ port: application.port, endpoint, clients, milliseconds });
    }
  }
}

/** One turn of each application in each round, added to what was measured of it. */
async function compare(
  comparison: Comparison,
  measured: readonly Measured[],
  competitors: readonly Competitor[],
  tools: Tools,
): Promise<void> {
  await tools.proxy.setLatency(comparison.latency);
  const turns = competitors.map((competitor) => {
    const { isolation, entities } = competitor;
    const into = measured.find((one) => one.entities === entities)![isolation];
    return [`${isolation} ${entities}`, () => takeTurn(competitor, comparison, into, tools)];
  });
  await interleave(Object.fromEntries(turns) as Record<string, () => Promise<number>>, tools.plan.rounds);
}

function unmeasured({ platform, poolSize, entities }: Block, comparison: Comparison): Measured[] {
  return entities.map((count) => ({
    ...comparison,
    platform,
    poolSize,
    entities: count,
    plain: emptySamples(),
    rls: emptySamples(),
  }));
}

async function takeTurn(
  { application }: Competitor,
  { endpoint, clients }: Comparison,
  into: Samples,
  { load, plan }: Tools,
): Promise<number> {
  const before = await application.processorTime();
  const answer = await load.run({ port: application.port, endpoint, clients, milliseconds: plan.turnMs });
  const used = (await application.processorTime()) - before;
  if (answer.unanswered > 0) throw new Error(`${answer.unanswered} requests were never answered.`);
  const requestsPerSecond = answer.answered / answer.seconds;
  into.requestsPerSecond.push(requestsPerSecond);
  into.processorTime.push(used / answer.answered);
  into.p50.push(answer.p50);
  into.p99.push(answer.p99);
  into.wrong += answer.wrong;
  return requestsPerSecond;
}

async function checkDeadlocks(
  { platform, poolSize, deadlocks }: Block,
  competitors: readonly Competitor[],
  { load, plan }: Tools,
): Promise<DeadlockCheck[]> {
  const checks: DeadlockCheck[] = [];
  for (const clients of deadlocks) {
    for (const { application, isolation } of competitors) {
      const { answered, unanswered, wrong, slowest } = await load.run({
        port: application.port,
        endpoint: 'transaction',
        clients,
        milliseconds: plan.turnMs,
      });
      checks.push({ platform, isolation, poolSize, clients, answered, unanswered, wrong, slowest });
    }
  }
  return checks;
}

function emptySamples(): Samples {
  return { requestsPerSecond: [], processorTime: [], p50: [], p99: [], wrong: 0 };
}

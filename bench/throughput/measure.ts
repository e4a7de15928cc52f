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
  plan: Pick<Plan, 'rounds' | 'turnMs' | 'warmUpMs'>;
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
  const competitors: Competitor[] = [];
  try {
    await tools.proxy.setLatency(0);
    const { platform, poolSize, node } = block;
    for (const entities of block.entities) {
      for (const isolation of ISOLATIONS) {
        const options = { platform, poolSize, isolation, entities, url: tools.url };
        competitors.push({ isolation, entities, application: await startApplication(options, node) });
      }
    }
    await warmUp(block, competitors, tools);
    const measured: Measured[] = [];
    for (const comparison of block.comparisons)
      measured.push(...(await compare(block, comparison, competitors, tools)));
    return { measured, deadlocks: await checkDeadlocks(block, competitors, tools) };
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

async function compare(
  { platform, poolSize, entities }: Block,
  comparison: Comparison,
  competitors: readonly Competitor[],
  tools: Tools,
): Promise<Measured[]> {
  await tools.proxy.setLatency(comparison.latency);
  const samples = new Map(competitors.map((competitor) => [competitor, emptySamples()]));
  const turns = [...samples].map(([competitor, into]) => [
    `${competitor.isolation} ${competitor.entities}`,
    () => takeTurn(competitor, comparison, into, tools),
  ]);
  await interleave(Object.fromEntries(turns) as Record<string, () => Promise<number>>, tools.plan.rounds);
  const of = (count: number, isolation: Isolation) =>
    samples.get(competitors.find((one) => one.entities === count && one.isolation === isolation)!)!;
  return entities.map((count) => ({
    ...comparison,
    platform,
    poolSize,
    entities: count,
    plain: of(count, 'plain'),
    rls: of(count, 'rls'),
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

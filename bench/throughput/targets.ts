import { ratio, type Spread } from '../support/statistics.js';
import type { Target } from '../support/part.js';
import { groupOf, ratioOf, withQuartiles } from './figures.js';
import type { Measured } from './measure.js';
import type { ThroughputData } from './run.js';

const THROUGHPUT = 0.95;
const ENTITIES_COST = 1.02;

/** Each target is judged by the worst of the configurations that it is about. */
export function targets(data: ThroughputData): Target[] {
  const pools = groupOf(data, 'pools');
  return [
    {
      what: 'throughput at pool 10, 0.5 ms',
      target: '≥ 0.95 of plain',
      ...throughputTarget(pools.filter(({ poolSize }) => poolSize === 10)),
    },
    {
      what: 'HTTP requests per second',
      target: '≥ 0.95 of the same application without the library',
      ...withInterceptorNote(
        throughputTarget(data.measured.filter(({ group }) => group !== 'older' && group !== 'interceptor')),
        groupOf(data, 'interceptor'),
      ),
    },
    entitiesTarget(groupOf(data, 'entities')),
    deadlockTarget(data),
  ];
}

function throughputTarget(measured: readonly Measured[]): Pick<Target, 'measured' | 'met' | 'note'> {
  const ratios = measured.map((one) => ({ one, spread: ratioOf(one, 'requestsPerSecond') }));
  const worst = ratios.toSorted((a, b) => a.spread.median - b.spread.median)[0];
  if (worst === undefined) return { measured: 'nothing', met: false };
  const within = ratios.filter(({ spread }) => spread.median >= THROUGHPUT).length;
  const met = within === ratios.length;
  return {
    measured: `${withQuartiles(worst.spread)}, the worst of ${ratios.length} configurations (${nameOf(worst.one)})`,
    met,
    ...(!met && { note: `${within} of ${ratios.length} configurations meet it. ${costNote(worst.one)}` }),
  };
}

/** Nest calls a handler without an interceptor directly: how much of the cost is the chain of Observables around it. */
function withInterceptorNote<T extends Pick<Target, 'note'>>(target: T, measured: readonly Measured[]): T {
  if (target.note === undefined || measured.length === 0) return target;
  const ratios = measured.map((one) => ratioOf(one, 'requestsPerSecond'));
  const medians = ratios.map(({ median }) => median);
  const [least, most] = [Math.min(...medians), Math.max(...medians)];
  return {
    ...target,
    note: `${target.note} Against an application that already has one interceptor, whatever it does: ${least.toFixed(2)} to ${most.toFixed(2)}.`,
  };
}

function costNote(one: Measured): string {
  const times = ratioOf(one, 'processorTime');
  return `The application's own core is the limit: it works ${withQuartiles(times)} times as long on a request that does nothing but read and send ${one.endpoint === 'one' ? 'a row' : 'a page'}.`;
}

function nameOf({ platform, poolSize, clients, latency, entities, endpoint }: Measured): string {
  const path = endpoint === 'one' ? 'GET /tasks/:id' : 'GET /tasks';
  return `${platform}, ${path}, pool ${poolSize}, ${clients} clients, ${latency} ms, ${entities} entities`;
}

function entitiesTarget(measured: readonly Measured[]): Target {
  const few = Math.min(...measured.map(({ entities }) => entities));
  const many = Math.max(...measured.map(({ entities }) => entities));
  const byLatency = [...new Set(measured.map(({ latency }) => latency))].map((latency) => {
    const cost = (count: number) =>
      relativeCost(measured.find((one) => one.latency === latency && one.entities === count)!);
    return { latency, spread: ratio(cost(many), cost(few)) };
  });
  const worst = Math.max(...byLatency.map(({ spread }) => spread.median));
  return {
    what: 'cost with 200 entities against 5',
    target: '≤ 1.02',
    measured: byLatency
      .map(
        ({ latency, spread }: { latency: number; spread: Spread }) =>
          `${withQuartiles(spread)} at ${latency} ms`,
      )
      .join(', '),
    met: worst <= ENTITIES_COST,
  };
}

/** How many times as many requests the application without the library answers, round by round. */
function relativeCost({ plain, rls }: Measured): number[] {
  return plain.requestsPerSecond.map((requests, round) => requests / rls.requestsPerSecond[round]!);
}

function deadlockTarget({ deadlocks }: ThroughputData): Target {
  const answered = deadlocks.reduce((sum, check) => sum + check.answered, 0);
  const bad = deadlocks.reduce((sum, check) => sum + check.unanswered + check.wrong, 0);
  return {
    what: 'no deadlock at any client count',
    target: 'every request answered',
    measured: `${answered.toLocaleString('en-US')} answered, ${bad} not or wrongly`,
    met: answered > 0 && bad === 0,
  };
}

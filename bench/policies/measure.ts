import { interleave, microseconds } from '../support/rounds.js';
import { ratio, spread, type Spread } from '../support/statistics.js';
import type { Policies } from './forms.js';
import type { QueryName } from './queries.sql.js';
import type { Tenant, Way } from './ways.js';

/** How long measuring may take. */
export interface Effort {
  /** Milliseconds that one turn fills with repetitions. */
  turn: number;
  /** Milliseconds for the rounds of one query. */
  budget: number;
  maxRounds: number;
  /** Runs before those that are timed, after the policies took another form. */
  warmUps: number;
  /** Seconds; what takes longer at first is not measured. */
  timeLimit: number;
}

/** Absent: a way that takes longer than statements may. */
export type Measurements<Name extends string> = Partial<Record<Name, Measured>>;

export interface Measured {
  /** Microseconds from sending the batch to its last row: the median of a turn, over the rounds. */
  time: Spread;
  /** Against explicit conditions under the same carrying, and without any. */
  ratio: Spread;
  ratioUncarried: Spread;
  rounds: number;
}

const BASELINES = ['explicit', 'explicitCarried'];
const SLOW_MS = 40;
const SWITCH_MS = 6;
const CANCELLED = '57014';

/**
 * Measures one query in all ways. Slow ways take their rounds among themselves and the baselines, so that they do not
 * cost the others theirs.
 *
 * @throws Error if a way returns other rows than the baseline.
 */
export async function measureQuery<Name extends string>(
  ways: Record<Name, Way>,
  policies: Policies,
  query: QueryName,
  tenant: Tenant,
  effort: Effort,
): Promise<Measurements<Name>> {
  const times = await firstTimes(ways, policies, query, tenant);
  const names = (Object.keys(ways) as Name[]).filter((name) => times[name] < effort.timeLimit * 1000);
  const isBaseline = (name: Name) => BASELINES.includes(name);
  const slow = names.filter((name) => !isBaseline(name) && times[name] > SLOW_MS);
  const quick = names.filter((name) => !isBaseline(name) && !slow.includes(name));
  const measured: Measurements<Name> = {};
  for (const group of [slow, quick]) {
    if (group.length === 0) continue;
    const members = [...names.filter(isBaseline), ...group];
    const turns = Object.fromEntries(
      members.map((name) => [name, turn(ways[name], policies, query, tenant, times[name], effort)]),
    ) as Record<Name, () => Promise<number>>;
    const samples = await interleave(
      turns,
      roundsFor(
        members.map((name) => times[name]),
        effort,
      ),
    );
    for (const name of members) measured[name] = summarise(samples, name);
  }
  return measured;
}

function summarise<Name extends string>(samples: Record<Name, number[]>, name: Name): Measured {
  const of = (way: string) => samples[way as Name];
  return {
    time: spread(of(name)),
    ratio: ratio(of(name), of('explicitCarried')),
    ratioUncarried: ratio(of(name), of('explicit')),
    rounds: of(name).length,
  };
}

/**
 * Milliseconds of a run that is not the first, which warms up and tells if the rows are right. Infinity for what the
 * server cancelled.
 */
async function firstTimes<Name extends string>(
  ways: Record<Name, Way>,
  policies: Policies,
  query: QueryName,
  tenant: Tenant,
): Promise<Record<Name, number>> {
  const times = {} as Record<Name, number>;
  let expected: string | undefined;
  for (const name of Object.keys(ways) as Name[]) {
    await policies.take(ways[name].form);
    const started = microseconds();
    const rows = await ways[name].run(query, tenant).then(sorted, unlessCancelled);
    times[name] = rows === undefined ? Infinity : (microseconds() - started) / 1000;
    if (rows === undefined) continue;
    expected ??= rows;
    if (rows !== expected) throw new Error(`"${name}" returns other rows than the baseline for "${query}".`);
    if (times[name] < 500) times[name] = (await timeOf(ways[name], query, tenant)) / 1000;
  }
  return times;
}

function unlessCancelled(error: unknown): undefined {
  if ((error as { code?: string }).code !== CANCELLED) throw error;
}

/** Rows of an unordered query come in the plan's order. */
function sorted(result: unknown): string {
  if (!Array.isArray(result)) return JSON.stringify(result);
  return result
    .map((row) => JSON.stringify(row))
    .sort()
    .join('\n');
}

function turn(
  way: Way,
  policies: Policies,
  query: QueryName,
  tenant: Tenant,
  milliseconds: number,
  { turn: length, warmUps }: Effort,
): () => Promise<number> {
  const repetitions = Math.min(40, Math.max(1, Math.round(length / milliseconds)));
  return async () => {
    await policies.take(way.form);
    if (milliseconds < SLOW_MS) for (let run = 0; run < warmUps; run++) await way.run(query, tenant);
    const times: number[] = [];
    for (let run = 0; run < repetitions; run++) times.push(await timeOf(way, query, tenant));
    return spread(times).median;
  };
}

async function timeOf(way: Way, query: QueryName, tenant: Tenant): Promise<number> {
  const started = microseconds();
  await way.run(query, tenant);
  return microseconds() - started;
}

function roundsFor(times: number[], { turn: length, budget, maxRounds }: Effort): number {
  const round = times.reduce((sum, time) => sum + Math.max(length, time) + SWITCH_MS, 0);
  return Math.min(maxRounds, Math.max(3, Math.floor(budget / round)));
}

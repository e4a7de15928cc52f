import { OPERATIONS, type Operation, type RunAnswer, type Tenants } from '../support/contender.js';
import { startContender, type ContenderProcess } from '../support/contender-process.js';
import type { Proxy } from '../support/proxy.js';
import { interleave } from '../support/rounds.js';
import { ratio, spread, type Spread } from '../support/statistics.js';
import type { StatementContender } from './contenders.js';

/** How long to measure. */
export interface Effort {
  /** Times that every contender is started anew: two runs of one program differ by more than two rounds of one run. */
  sessions: number;
  rounds: number;
  /** How long one turn is meant to take. */
  turnMs: number;
  /** How long a contender may take to warm up for one operation. */
  warmUpMs: number;
}

export interface Connection {
  url: string;
  rows: Tenants;
  /** Sets the latency of the route, or none for as long as contenders warm up. */
  delay?: (on: boolean) => Promise<void>;
}

/** What one operation of one contender takes. */
export interface Cost {
  contender: string;
  operation: Operation;
  /** Undefined where it does not return the rows that it should: what is wrong has no speed. */
  microseconds?: Spread;
  /** To the contender's baseline. */
  ratio?: Spread;
}

/** Microseconds by operation and contender, round by round. */
type Samples = Record<string, Record<string, number[]>>;

/** Measures operations one after the other, each contender on a connection of its own. */
export async function measureCosts(
  contenders: readonly StatementContender[],
  connection: Connection,
  { sessions, rounds, ...effort }: Effort,
  operations: readonly Operation[] = OPERATIONS,
): Promise<Cost[]> {
  const samples: Samples = Object.fromEntries(operations.map((operation) => [operation, {}]));
  for (let session = 0; session < sessions; session++) {
    await withContenders(contenders, connection, 1, async (processes) => {
      for (const operation of operations) {
        await connection.delay?.(false);
        const warm = await warmUp(processes, operation, effort);
        await connection.delay?.(true);
        const measured = await interleave(await turnsOf(warm, operation, effort.turnMs), rounds);
        for (const [name, values] of Object.entries(measured)) {
          (samples[operation]![name] ??= []).push(...values);
        }
      }
    });
  }
  return operations.flatMap((operation) =>
    contenders.map((contender) => costOf(contender, operation, samples[operation]!)),
  );
}

function costOf(
  { name, baseline }: StatementContender,
  operation: Operation,
  samples: Record<string, number[]>,
): Cost {
  const own = samples[name];
  const plain = samples[baseline];
  if (own === undefined || plain === undefined) return { contender: name, operation };
  return { contender: name, operation, microseconds: spread(own), ratio: ratio(own, plain) };
}

const COUNTED = 20;

/** Round trips of one operation once its connection is open and warm, counted on the wire. */
export async function countRoundTrips(
  contenders: readonly StatementContender[],
  connection: Connection,
  proxy: Proxy,
  operations: readonly Operation[],
): Promise<Record<string, Record<string, number>>> {
  return withContenders(contenders, connection, 1, async (processes) => {
    const counts: Record<string, Record<string, number>> = {};
    for (const contender of processes) {
      counts[contender.name] = {};
      for (const operation of operations) {
        await contender.run({ operation, count: 5, concurrency: 1 });
        await proxy.roundTrips();
        await contender.run({ operation, count: COUNTED, concurrency: 1 });
        counts[contender.name]![operation] = (await proxy.roundTrips()) / COUNTED;
      }
    }
    return counts;
  });
}

/** What operations got that ran at the same time for several tenants. */
export interface Isolation extends Omit<RunAnswer, 'microseconds'> {
  contender: string;
  operation: Operation;
}

/** Runs many operations at a time, and counts whose rows came back. */
export async function countWrongRows(
  contenders: readonly StatementContender[],
  connection: Connection,
  operation: Operation,
  count: number,
): Promise<Isolation[]> {
  return withContenders(contenders, connection, 20, async (processes) => {
    const isolation: Isolation[] = [];
    for (const contender of processes) {
      const { microseconds: _, ...got } = await contender.run({ operation, count, concurrency: 20 });
      isolation.push({ contender: contender.name, operation, ...got });
    }
    return isolation;
  });
}

/** Versions of what each contender runs on. */
export async function versionsOf(
  contenders: readonly StatementContender[],
  connection: Connection,
): Promise<Record<string, Record<string, string>>> {
  return withContenders(contenders, connection, 1, async (processes) =>
    Object.fromEntries(processes.map(({ name, versions }) => [name, versions])),
  );
}

/** Starts contenders one after the other, and ends them whatever happens. */
async function withContenders<T>(
  contenders: readonly StatementContender[],
  { url, rows }: Connection,
  poolSize: number,
  work: (processes: ContenderProcess[]) => Promise<T>,
): Promise<T> {
  const processes: ContenderProcess[] = [];
  try {
    for (const contender of contenders)
      processes.push(await startContender(contender, { url, poolSize, rows }));
    return await work(processes);
  } finally {
    for (const contender of processes) await contender.close();
  }
}

// V8 has compiled by then what it will compile.
const WARM_UP_OPERATIONS = 3_000;
// Single operations say little about how many make a turn.
const TRIAL_TURNS = 2;

/** Runs the operation until it is as fast as it gets. @returns the contenders that return the rows they should. */
async function warmUp(
  processes: readonly ContenderProcess[],
  operation: Operation,
  { turnMs, warmUpMs }: Pick<Effort, 'turnMs' | 'warmUpMs'>,
): Promise<ContenderProcess[]> {
  const right: ContenderProcess[] = [];
  for (const contender of processes) {
    const first = await runTurn(contender, operation, 1);
    if (first.right < 1) continue;
    right.push(contender);
    const end = performance.now() + warmUpMs;
    let { microseconds } = first;
    for (let done = 0; done < WARM_UP_OPERATIONS && performance.now() < end;) {
      const count = countFor(turnMs, microseconds);
      ({ microseconds } = await runTurn(contender, operation, count));
      done += count;
    }
  }
  return right;
}

/** Turns of about the same time for each contender. */
async function turnsOf(
  contenders: readonly ContenderProcess[],
  operation: Operation,
  turnMs: number,
): Promise<Record<string, () => Promise<number>>> {
  const turns: Record<string, () => Promise<number>> = {};
  for (const contender of contenders) {
    let count = 1;
    for (let trial = 0; trial < TRIAL_TURNS; trial++)
      count = countFor(turnMs, (await runTurn(contender, operation, count)).microseconds);
    turns[contender.name] = async () => {
      const { right, microseconds } = await runTurn(contender, operation, count);
      if (right < count) throw new Error(`${contender.name} got wrong rows in ${operation}.`);
      return microseconds;
    };
  }
  return turns;
}

async function runTurn(contender: ContenderProcess, operation: Operation, count: number): Promise<RunAnswer> {
  const answer = await contender.run({ operation, count, concurrency: 1 });
  if (answer.failed > 0) throw new Error(`${contender.name} failed in ${operation}: ${answer.error}`);
  return answer;
}

function countFor(turnMs: number, microseconds: number): number {
  return Math.max(1, Math.round((turnMs * 1000) / microseconds));
}

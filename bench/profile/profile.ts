import { createTables } from '../statements/schema.js';
import type { Tenants } from '../support/contender.js';
import type { BenchContext, Part } from '../support/part.js';
import { interleave } from '../support/rounds.js';
import { SEALED_SETTING } from '../support/seal.js';
import { APP_ROLE, SEALED_APP_ROLE, startServer, type BenchServer } from '../support/server.js';
import type { ApplicationCalls, ApplicationKind } from './application.process.js';
import type { ContextCalls, Loop } from './context.process.js';
import { measureFront, type FrontSamples } from './front.js';
import { startLoad } from './http-load.js';
import type { SelfTimes } from './owners.js';
import { report } from './report.js';
import type { StatementCalls } from './statement.process.js';
import { startWorker, type Calls, type Worker } from './worker.js';

type Side = 'plain' | 'carried';
type SealSide = 'carried' | 'sealed';

/** Figures round by round; microseconds, or bytes where it says so. */
export interface ProfileData {
  server: string;
  /** What passes for a statement, one after the other. */
  elapsed: Record<Side, number[]>;
  /** CPU time of the application's process for a statement, several at a time. */
  cpu: Record<Side, number[]>;
  /** The same for statements that carry a seal, beside those that carry none; and the HMAC of one seal. */
  seal?: { cpu: Record<SealSide, number[]>; making: number[] };
  profiles: Record<Side, SelfTimes[]>;
  bytes: Record<Side, number[]>;
  context: Record<Loop, number[]>;
  /** CPU time of an HTTP request. */
  request: Record<ApplicationKind, number[]>;
  front: FrontSamples;
}

/** How much to measure. */
interface Effort {
  rows: number;
  rounds: number;
  statements: number;
  allocatingStatements: number;
  contextCalls: number;
  requests: number;
  batches: number;
}

const TENANTS = 20;
const FULL: Effort = {
  rows: 2_000,
  rounds: 21,
  statements: 1_500,
  allocatingStatements: 500,
  contextCalls: 100_000,
  requests: 2_000,
  batches: 2_000,
};
const QUICK: Effort = {
  rows: 20,
  rounds: 2,
  statements: 100,
  allocatingStatements: 20,
  contextCalls: 1_000,
  requests: 100,
  batches: 100,
};
// V8 has compiled by then what it will compile.
const WARM_UP_ROUNDS = 4;
// So that nothing is collected while bytes are counted.
const LARGE_YOUNG_GENERATION = ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=128'];

export const profile: Part<ProfileData> = {
  name: 'profile',
  title: 'Where a carried statement spends its time',
  async run({ quick, log }: BenchContext): Promise<ProfileData> {
    const effort = quick ? QUICK : FULL;
    const server = await startServer();
    try {
      const rows = await createTables(server, TENANTS, effort.rows);
      log('a statement');
      const times = await measureTimes(server, rows, effort);
      log('a sealed statement');
      const seal = await measureSeal(server, rows, effort);
      log('the CPU profile of a statement');
      const profiles = await measureProfiles(server, rows, effort);
      log('the bytes a statement allocates');
      const bytes = await measureBytes(server, rows, effort);
      log('the context by itself');
      const context = await measureContext(effort);
      log('the context of a request');
      const request = await measureRequests(server, effort);
      log('the front on the server');
      const front = await measureFront(server, rows, effort.rounds, effort.batches);
      return { server: server.version, ...times, seal, profiles, bytes, context, request, front };
    } finally {
      await server.stop();
    }
  },
  report,
};

function measureTimes(
  server: BenchServer,
  rows: Tenants,
  { statements, rounds }: Effort,
): Promise<Pick<ProfileData, 'elapsed' | 'cpu'>> {
  return withStatements(server, rows, [], async (workers) => {
    const timed = async (call: 'elapsed' | 'cpu') => {
      const turns = turnsOf(workers, (worker) => worker.ask(call, statements));
      for (let warmed = 0; warmed < WARM_UP_ROUNDS; warmed++)
        for (const turn of Object.values(turns)) await turn();
      return interleave(turns, rounds);
    };
    return { elapsed: await timed('elapsed'), cpu: await timed('cpu') };
  });
}

/** So that PostgreSQL does the same for both: how answers arrive decides what reading them costs. */
async function askForNoSeal(server: BenchServer): Promise<void> {
  const predicate = `tenant_id = NULLIF(current_setting('${SEALED_SETTING}', true), '')::uuid`;
  await server.sql(
    `ALTER POLICY task_tenant_isolation_policy ON sealed.task USING (${predicate}) WITH CHECK (${predicate})`,
  );
}

async function measureSeal(
  server: BenchServer,
  rows: Tenants,
  { statements, rounds }: Effort,
): Promise<NonNullable<ProfileData['seal']>> {
  const start = (side: SealSide, role: string) =>
    startWorker<StatementCalls>('./statement.process.js', [side, server.url(role)]);
  await askForNoSeal(server);
  const workers = { carried: start('carried', APP_ROLE), sealed: start('sealed', SEALED_APP_ROLE) };
  return withWorkers(workers, async ({ carried, sealed }) => {
    for (const worker of [carried, sealed]) await worker.ask('open', rows);
    const turns = {
      carried: () => carried.ask('cpu', statements),
      sealed: () => sealed.ask('cpu', statements),
    };
    for (let warmed = 0; warmed < WARM_UP_ROUNDS; warmed++)
      for (const turn of Object.values(turns)) await turn();
    const cpu = await interleave(turns, rounds);
    const { making } = await interleave({ making: () => sealed.ask('makeSeals', statements) }, rounds);
    return { cpu, making };
  });
}

/** In processes that never ran without the profiler: V8 knows what it inlined only where it compiled under one. */
function measureProfiles(
  server: BenchServer,
  rows: Tenants,
  effort: Effort,
): Promise<ProfileData['profiles']> {
  return withStatements(server, rows, [], async (workers) => {
    const profiles: ProfileData['profiles'] = { plain: [], carried: [] };
    const turns = turnsOf(workers, async (worker, side) =>
      profiles[side].push(await worker.ask('profile', effort.statements)),
    );
    await interleave(turns, WARM_UP_ROUNDS + effort.rounds);
    return { plain: profiles.plain.slice(WARM_UP_ROUNDS), carried: profiles.carried.slice(WARM_UP_ROUNDS) };
  });
}

function measureBytes(server: BenchServer, rows: Tenants, effort: Effort): Promise<ProfileData['bytes']> {
  return withStatements(server, rows, LARGE_YOUNG_GENERATION, async (workers) => {
    for (const worker of Object.values(workers))
      await worker.ask('elapsed', effort.statements * WARM_UP_ROUNDS);
    return interleave(
      turnsOf(workers, (worker) => worker.ask('allocate', effort.allocatingStatements)),
      effort.rounds,
    );
  });
}

async function withStatements<T>(
  server: BenchServer,
  rows: Tenants,
  execArgv: readonly string[],
  work: (workers: Record<Side, Worker<StatementCalls>>) => Promise<T>,
): Promise<T> {
  const start = (side: Side) =>
    startWorker<StatementCalls>('./statement.process.js', [side, server.url(APP_ROLE)], execArgv);
  return withWorkers({ plain: start('plain'), carried: start('carried') }, async (workers) => {
    for (const worker of Object.values(workers)) await worker.ask('open', rows);
    return work(workers);
  });
}

async function measureContext({ rounds, contextCalls: count }: Effort): Promise<ProfileData['context']> {
  const start = () => startWorker<ContextCalls>('./context.process.js', []);
  return withWorkers({ one: start() }, async ({ one }) => {
    const turn = (loop: Loop) => () => one.ask('time', { loop, count });
    const turns: Record<Loop, () => Promise<number>> = {
      sync: turn('sync'),
      syncInContext: turn('syncInContext'),
      async: turn('async'),
      asyncInContext: turn('asyncInContext'),
    };
    for (const warm of Object.values(turns)) await warm();
    return interleave(turns, rounds);
  });
}

async function measureRequests(
  server: BenchServer,
  { rounds, requests }: Effort,
): Promise<ProfileData['request']> {
  const start = (kind: ApplicationKind) =>
    startWorker<ApplicationCalls>('./application.process.js', [kind, server.url(APP_ROLE)]);
  const applications = {
    nothing: start('nothing'),
    context: start('context'),
    interceptor: start('interceptor'),
    module: start('module'),
  };
  return withWorkers(applications, async (workers) => {
    const turns = {} as Record<ApplicationKind, () => Promise<number>>;
    for (const [kind, worker] of Object.entries(workers) as [ApplicationKind, Worker<ApplicationCalls>][]) {
      const load = startLoad(await worker.ask('port', undefined));
      turns[kind] = async () => {
        const before = await worker.ask('cpu', undefined);
        await load.send(requests);
        return ((await worker.ask('cpu', undefined)) - before) / requests;
      };
      for (let warmed = 0; warmed < WARM_UP_ROUNDS; warmed++) await turns[kind]();
    }
    return interleave(turns, rounds);
  });
}

function turnsOf<Offered extends Calls>(
  workers: Record<Side, Worker<Offered>>,
  turn: (worker: Worker<Offered>, side: Side) => Promise<number>,
): Record<Side, () => Promise<number>> {
  return {
    plain: () => turn(workers.plain, 'plain'),
    carried: () => turn(workers.carried, 'carried'),
  };
}

/** Ends the processes whatever happens. */
async function withWorkers<Workers extends Record<string, { close(): Promise<void> }>, T>(
  workers: Workers,
  work: (workers: Workers) => Promise<T>,
): Promise<T> {
  try {
    return await work(workers);
  } finally {
    await Promise.all(Object.values(workers).map((worker) => worker.close()));
  }
}

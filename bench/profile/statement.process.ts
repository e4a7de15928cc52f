import 'reflect-metadata';
import { createHmac, createSecretKey } from 'node:crypto';
import { Session } from 'node:inspector/promises';
import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import type { Tenants } from '../support/contender.js';
import { selfTimes, type SelfTimes } from './owners.js';
import { offer } from './worker.js';

// Microseconds between two samples of the CPU profile.
const SAMPLING_INTERVAL = 100;

// So many statements at a time keep the process busy. One at a time it mostly waits, and samples that wake it up fall
// into step with it: what they show is arbitrary.
const BUSY = 8;

type FindTask = (tenantId: string, id: string) => Promise<unknown>;

const [kind, url] = process.argv.slice(2) as ['plain' | 'carried' | 'sealed', string];
const findTask = await { plain, carried, sealed }[kind]();
let rows: Tenants;
let turn = 0;

/** Does not load the library, nor nestjs-cls with it. */
async function plain(): Promise<FindTask> {
  const { PlainTask } = await import('../support/plain-task.js');
  const dataSource = new DataSource({ type: 'postgres', url, poolSize: BUSY, entities: [PlainTask] });
  const tasks = (await dataSource.initialize()).getRepository(PlainTask);
  return (tenantId, id) => tasks.findOneBy({ id, tenantId });
}

async function carried(): Promise<FindTask> {
  const { isolateDataSource, tenantContext } = await import('nestjs-rls-tenants');
  const { ScopedTask } = await import('../support/scoped-task.js');
  const dataSource = new DataSource({ type: 'postgres', url, poolSize: BUSY, entities: [ScopedTask] });
  await isolateDataSource(await dataSource.initialize(), { tenantIdType: 'uuid' });
  const tasks = dataSource.getRepository(ScopedTask);
  return (tenantId, id) => tenantContext(tenantId, () => tasks.findOneBy({ id }));
}

async function sealed(): Promise<FindTask> {
  const { isolateDataSource, tenantContext } = await import('nestjs-rls-tenants');
  const { SealedTask } = await import('../support/sealed-task.js');
  const { SEAL_KEY, SEALED_SETTING } = await import('../support/seal.js');
  const dataSource = new DataSource({ type: 'postgres', url, poolSize: BUSY, entities: [SealedTask] });
  await isolateDataSource(await dataSource.initialize(), {
    tenantIdType: 'uuid',
    tenantSetting: SEALED_SETTING,
    seal: { keys: [SEAL_KEY] },
  });
  const tasks = dataSource.getRepository(SealedTask);
  return (tenantId, id) => tenantContext(tenantId, () => tasks.findOneBy({ id }));
}

/** Statements, each for the next tenant. */
async function execute(count: number, atATime: number): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) {
      const owner = turn % rows.tenants.length;
      const ids = rows.ids[owner]!;
      const id = ids[Math.floor(turn++ / rows.tenants.length) % ids.length]!;
      if (!(await findTask(rows.tenants[owner]!, id))) throw new Error('A task was not found.');
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
}

/** Microseconds that pass for one statement, one after the other. */
async function elapsed(count: number): Promise<number> {
  const started = performance.now();
  await execute(count, 1);
  return ((performance.now() - started) * 1000) / count;
}

/** Microseconds of CPU time of this process for one statement. */
async function cpu(count: number): Promise<number> {
  const before = process.cpuUsage();
  await execute(count, BUSY);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

/** Microseconds for the HMAC of one seal, which is made for each tenant, connection and half of a seal's lifetime. */
function makeSeals(count: number): number {
  const key = createSecretKey(Buffer.alloc(32, 'bench'));
  const started = performance.now();
  for (let n = 0; n < count; n++) {
    const tenant = rows.tenants[n % rows.tenants.length]!;
    const message = `sealing.current_tenant\n1.bench.${1_800_000_000 + n}.4711\n36\n${tenant}`;
    createHmac('sha256', key).update(message).digest('hex');
  }
  return ((performance.now() - started) * 1000) / count;
}

/** Self times for one statement. */
async function profile(count: number): Promise<SelfTimes> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: SAMPLING_INTERVAL });
  await session.post('Profiler.start');
  await execute(count, BUSY);
  const { profile } = await session.post('Profiler.stop');
  session.disconnect();
  const times = selfTimes(profile);
  return { owners: perStatement(times.owners, count), functions: perStatement(times.functions, count) };
}

function perStatement<T extends Record<string, number>>(times: T, count: number): T {
  return Object.fromEntries(Object.entries(times).map(([name, value]) => [name, value / count])) as T;
}

/** Bytes for one statement. @throws if the garbage collector ran meanwhile: then nobody knows. */
async function allocate(count: number): Promise<number> {
  let collections = 0;
  const observer = new PerformanceObserver((list) => (collections += list.getEntries().length));
  globalThis.gc!();
  await turnOfTheLoop();
  observer.observe({ entryTypes: ['gc'] });
  const before = used();
  await execute(count, 1);
  const bytes = used() - before;
  await turnOfTheLoop();
  observer.disconnect();
  if (collections > 0)
    throw new Error('The garbage collector ran: fewer statements, or a larger young generation.');
  return bytes / count;
}

function used(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const calls = {
  makeSeals,
  open: (given: Tenants) => void (rows = given),
  elapsed,
  cpu,
  profile,
  allocate,
};
export type StatementCalls = typeof calls;
offer(calls);

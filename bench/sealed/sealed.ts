import { LIBRARY, OWN_CONTENDERS, PLAIN, SEALED_CONTENDER } from '../statements/contenders.js';
import {
  countRoundTrips,
  countWrongRows,
  measureCosts,
  type Connection,
  type Cost,
  type Isolation,
} from '../statements/measure.js';
import { createTables } from '../statements/schema.js';
import type { Route } from '../statements/statements.js';
import { AUTOCOMMIT } from '../support/contender.js';
import type { BenchContext, Part } from '../support/part.js';
import { requirePgBouncer, startPgBouncer } from '../support/pgbouncer.js';
import { startProxy } from '../support/proxy.js';
import { APP_ROLE, SEALED_APP_ROLE, startServer } from '../support/server.js';
import { measureSteps, type SealSamples } from './breakdown.js';
import { report } from './sealed.report.js';

export interface SealedData {
  server: string;
  /** Plain TypeORM, the library, and the library with a seal. */
  routes: (Route & { costs: Cost[] })[];
  steps: SealSamples;
  /** Round trips of the library with a seal, by operation. */
  roundTrips: Record<string, number>;
  /** Of the library with a seal through PgBouncer, many at a time. */
  isolation: Isolation[];
}

const TENANTS = 8;
const SHARED_CONNECTIONS = 2;
const CONTENDERS = [
  ...OWN_CONTENDERS.filter(({ name }) => name === PLAIN || name === LIBRARY),
  SEALED_CONTENDER,
];
const ROUTES: readonly Route[] = [
  { via: 'direct', latency: 0 },
  { via: 'direct', latency: 0.5 },
  { via: 'direct', latency: 2 },
  { via: 'pgbouncer', latency: 0.5 },
];

const FULL = {
  routes: ROUTES,
  effort: { sessions: 3, rounds: 14, turnMs: 100, warmUpMs: 1_500 },
  wrongRows: 400,
  steps: { rounds: 21, batches: 2_000 },
};
const QUICK = {
  routes: ROUTES.slice(0, 1),
  effort: { sessions: 1, rounds: 2, turnMs: 10, warmUpMs: 20 },
  wrongRows: 100,
  steps: { rounds: 2, batches: 20 },
};

async function run({ quick, log }: BenchContext): Promise<SealedData> {
  const { routes, effort, wrongRows, steps } = quick ? QUICK : FULL;
  requirePgBouncer();
  const server = await startServer();
  const direct = await startProxy(server.port);
  const pgBouncer = await startPgBouncer({
    port: server.port,
    users: { [APP_ROLE]: '', [SEALED_APP_ROLE]: '' },
    poolSize: SHARED_CONNECTIONS,
  });
  const pooled = await startProxy(pgBouncer.port);
  try {
    log('making the tables');
    const rows = await createTables(server, TENANTS, 10_000);
    const url = server.url(APP_ROLE);
    const connect = async ({ via, latency }: Route): Promise<Connection> => {
      const proxy = via === 'direct' ? direct : pooled;
      if (latency === 0) return { url: via === 'direct' ? url : pgBouncer.url(url), rows };
      return { url: proxy.url(url), rows, delay: (on) => proxy.setLatency(on ? latency : 0) };
    };
    const trips = await countRoundTrips([SEALED_CONTENDER], { url: direct.url(url), rows }, direct, [
      ...AUTOCOMMIT,
      'transaction',
    ]);
    const measured: SealedData['routes'] = [];
    for (const route of routes) {
      log(`${route.via}, ${route.latency} ms`);
      measured.push({ ...route, costs: await measureCosts(CONTENDERS, await connect(route), effort) });
    }
    log('the steps of a seal on the server');
    const samples = await measureSteps(server, rows, steps.rounds, steps.batches);
    log('counting wrong rows behind PgBouncer');
    const shared = { url: pgBouncer.url(url), rows };
    return {
      server: server.version,
      routes: measured,
      steps: samples,
      roundTrips: trips[SEALED_CONTENDER.name]!,
      isolation: [
        ...(await countWrongRows([SEALED_CONTENDER], shared, 'page', wrongRows)),
        ...(await countWrongRows([SEALED_CONTENDER], shared, 'transaction', wrongRows / 4)),
      ],
    };
  } finally {
    await direct.close();
    await pooled.close();
    await pgBouncer.stop();
    await server.stop();
  }
}

/** What it costs that PostgreSQL takes a tenant with a seal only. */
export const sealed: Part<SealedData> = {
  name: 'sealed',
  title: 'The sealed tenant context',
  run,
  report,
};

import { AUTOCOMMIT } from '../support/contender.js';
import type { BenchContext, Part } from '../support/part.js';
import { requirePgBouncer, startPgBouncer } from '../support/pgbouncer.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { APP_ROLE, startServer } from '../support/server.js';
import { OLDER_NODE } from '../support/node.js';
import { LIBRARY, OWN_CONTENDERS, PLAIN, type StatementContender } from './contenders.js';
import {
  countRoundTrips,
  countWrongRows,
  measureCosts,
  versionsOf,
  type Connection,
  type Cost,
  type Effort,
  type Isolation,
} from './measure.js';
import { installPeers, PEERS } from './peers.js';
import { reportStatements } from './statements.report.js';
import { createTables } from './schema.js';

/** How the contenders reach PostgreSQL. */
export interface Route {
  via: 'direct' | 'pgbouncer';
  /** Milliseconds added to each round trip. */
  latency: number;
}

export interface StatementData {
  server: string;
  pgBouncer: string;
  contenders: (Pick<StatementContender, 'name' | 'label' | 'baseline'> & {
    versions: Record<string, string>;
  })[];
  /** Round trips by contender and operation. */
  roundTrips: Record<string, Record<string, number>>;
  /** Plain TypeORM and the library alone, with more rounds: what the targets are judged by. */
  headline: (Route & { costs: Cost[] })[];
  /** The same on the older Node.js that the benchmark was started with, if it was. */
  older?: { node: string; headline: (Route & { costs: Cost[] })[] };
  /** Everybody. */
  routes: (Route & { costs: Cost[] })[];
  /** Through PgBouncer, many at a time. */
  isolation: Isolation[];
}

const TENANTS = 8;
/** Connections to PostgreSQL that PgBouncer shares among its clients. */
const SHARED_CONNECTIONS = 2;
const COUNTED_OPERATIONS = [...AUTOCOMMIT, 'transaction'] as const;

const DIRECT: readonly Route[] = [0, 0.5, 2].map((latency) => ({ via: 'direct', latency }));
const POOLED: readonly Route[] = [0, 0.5].map((latency) => ({ via: 'pgbouncer', latency }));

const FULL = {
  contenders: [...OWN_CONTENDERS, ...PEERS],
  routes: [...DIRECT, ...POOLED],
  everybody: { sessions: 2, rounds: 7, turnMs: 80, warmUpMs: 400 },
  headline: { sessions: 4, rounds: 20, turnMs: 100, warmUpMs: 2_000 },
  wrongRows: 400,
};
const QUICK = {
  contenders: OWN_CONTENDERS,
  routes: [DIRECT[0]!, POOLED[1]!],
  everybody: { sessions: 1, rounds: 2, turnMs: 5, warmUpMs: 20 },
  headline: { sessions: 1, rounds: 2, turnMs: 10, warmUpMs: 20 },
  wrongRows: 100,
};

async function run({ quick, log }: BenchContext): Promise<StatementData> {
  const { contenders, routes, everybody, headline, wrongRows } = quick ? QUICK : FULL;
  requirePgBouncer();
  if (contenders === FULL.contenders) await installPeers(log);
  const server = await startServer();
  const direct = await startProxy(server.port);
  const pgBouncer = await startPgBouncer({
    port: server.port,
    users: { [APP_ROLE]: '' },
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
    const versions = await versionsOf(contenders, { url, rows });
    log('counting round trips');
    const roundTrips = await countRoundTrips(
      contenders,
      { url: direct.url(url), rows },
      direct,
      COUNTED_OPERATIONS,
    );
    const measure = async (route: Route, who: readonly StatementContender[], effort: Effort) => {
      log(`measuring ${who.length} contenders: ${route.via}, ${route.latency} ms`);
      return { ...route, costs: await measureCosts(who, await connect(route), effort) };
    };
    const both = contenders.filter(({ name }) => name === PLAIN || name === LIBRARY);
    const headlines = [];
    for (const route of routes.filter(({ latency }) => latency < 1))
      headlines.push(await measure(route, both, headline));
    const older = [];
    if (OLDER_NODE) {
      const onOlderNode = both.map((contender) => ({ ...contender, node: OLDER_NODE!.path }));
      for (const route of DIRECT.filter(({ latency }) => latency < 1))
        older.push(await measure(route, onOlderNode, headline));
    }
    const everyone = [];
    for (const route of routes) everyone.push(await measure(route, contenders, everybody));
    log('counting wrong rows behind PgBouncer');
    const shared = { url: pgBouncer.url(url), rows };
    return {
      server: server.version,
      pgBouncer: `PgBouncer ${pgBouncer.version}`,
      contenders: contenders.map(({ name, label, baseline }) => ({
        name,
        label,
        baseline,
        versions: versions[name]!,
      })),
      roundTrips,
      headline: headlines,
      ...(OLDER_NODE && { older: { node: OLDER_NODE.version, headline: older } }),
      routes: everyone,
      isolation: [
        ...(await countWrongRows(contenders, shared, 'page', wrongRows)),
        ...(await countWrongRows(contenders, shared, 'transaction', wrongRows / 4)),
      ],
    };
  } finally {
    await close([direct, pooled]);
    await pgBouncer.stop();
    await server.stop();
  }
}

async function close(proxies: readonly Proxy[]): Promise<void> {
  for (const proxy of proxies) await proxy.close();
}

/** What one statement costs, by who keeps the tenants apart. */
export const statements: Part<StatementData> = {
  name: 'statements',
  title: 'Statement cost',
  run,
  report: reportStatements,
};

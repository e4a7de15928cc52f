import { barChart, lineChart } from '../report/charts.js';
import { figure, table } from '../report/tables.js';
import type { Chart, Section } from '../support/part.js';
import { spread } from '../support/statistics.js';
import { groupOf, ratioOf, withQuartiles } from './figures.js';
import type { Measured, Samples } from './measure.js';
import type { ThroughputData } from './run.js';
import { targets } from './targets.js';

export function report(data: ThroughputData): Section {
  const pools = groupOf(data, 'pools');
  const endpoints = groupOf(data, 'endpoints');
  const entities = groupOf(data, 'entities');
  const older = groupOf(data, 'older');
  const markdown = [
    introduction(data),
    '### With the library, as a ratio to the same application without it',
    `Requests per second of \`GET /tasks/:id\` (\`findOneBy\`), with 0.5 ms to the database: median of the rounds' ratios, and their quartiles.`,
    ratiosByClients(pools, 'requestsPerSecond'),
    '![Throughput with the library by clients](chart:throughput-clients)',
    'Processor time of the application for one request, likewise.',
    ratiosByClients(pools, 'processorTime'),
    '### Endpoints and latencies',
    'Pool of 10, 50 clients. `GET /tasks` reads a page of 20.',
    endpointTable([
      ...endpoints,
      ...pools.filter(({ poolSize, clients }) => poolSize === 10 && clients === 50),
    ]),
    '### Against an application that has an interceptor',
    'Nest calls a handler directly as long as no interceptor is bound to it, and through a chain of Observables as soon as one is. Here the application without the library has one that does nothing. Pool of 10, 50 clients.',
    endpointTable(groupOf(data, 'interceptor')),
    '### Entities in the data source',
    'Express, pool of 10, 50 clients, `GET /tasks/:id`.',
    entitiesTable(entities),
    '![Processor time with the library by entities](chart:throughput-entities)',
    ...(older.length === 0
      ? []
      : [
          `### On Node.js ${data.olderNode}`,
          'Express and Fastify, pool of 10, 50 clients. Before version 24 Node.js tracks every promise of an application that uses AsyncLocalStorage, its own and those of Nest and TypeORM.',
          endpointTable(older),
        ]),
    '### Absolute figures',
    'With 0.5 ms to the database; without the library → with it, medians of the rounds.',
    absoluteTable(pools),
    deadlockText(data),
  ].join('\n\n');
  return { markdown, charts: [clientsChart(pools), entitiesChart(entities)], targets: targets(data) };
}

function introduction({ postgres, plan, measured }: ThroughputData): string {
  const wrong = measured.reduce((sum, { plain, rls }) => sum + plain.wrong + rls.wrong, 0);
  const turns = `${plan.starts} starts of both, and after each ${plan.rounds} rounds of turns of ${plan.turnMs / 1000} s`;
  return `A NestJS application reads tasks of eleven columns, ${plan.tenants} tenants × ${plan.tasks}, from ${postgres}: once as it is without the library (no row-level security, \`tenantId\` in every query, no interceptor at all), once with it (row-level security, boot verification, \`fromUser\`, no \`tenantId\` in any query). Both have the same guard, rows and indexes. Each client sends its next request when its last one was answered, for tenants in turn; ${turns}, in which they alternate. Every body was checked: ${wrong} answers were not the tenant's own rows.

Load generator, application, proxy and PostgreSQL share the machine's cores. With one client most of a request is waiting; from 10 clients on the application's own core is what limits it, so that requests per second show what the library costs that core, however the database does: an application of which more is done per request than reading a row and sending it loses less. Processor time per request is the steadier measure of the same.`;
}

function ratiosByClients(pools: readonly Measured[], what: 'requestsPerSecond' | 'processorTime'): string {
  const clients = distinct(pools.map((one) => one.clients));
  const applications = distinct(pools.map(applicationOf));
  const cell = (application: string, count: number) => {
    const found = pools.find((one) => applicationOf(one) === application && one.clients === count);
    return found ? withQuartiles(ratioOf(found, what)) : '';
  };
  return table(
    ['', ...clients.map(clientsName)],
    `l${'r'.repeat(clients.length)}`,
    applications.map((application) => [application, ...clients.map((count) => cell(application, count))]),
  );
}

function endpointTable(measured: readonly Measured[]): string {
  return table(
    ['platform', 'endpoint', 'latency', 'requests per second', 'processor time', 'µs more per request'],
    'llrrrr',
    [...measured]
      .sort((a, b) => endpointOrder(a).localeCompare(endpointOrder(b)))
      .map((one) => [
        one.platform,
        `\`GET /tasks${one.endpoint === 'one' ? '/:id' : ''}\``,
        `${one.latency} ms`,
        ...costCells(one),
      ]),
  );
}

function endpointOrder({ platform, endpoint, latency }: Measured): string {
  return `${platform} ${endpoint} ${latency}`;
}

function entitiesTable(entities: readonly Measured[]): string {
  return table(
    ['latency', 'entities', 'requests per second', 'processor time', 'µs more per request'],
    'rrrrr',
    entities.map((one) => [`${one.latency} ms`, String(one.entities), ...costCells(one)]),
  );
}

function costCells(one: Measured): string[] {
  const more = spread(one.rls.processorTime.map((time, round) => time - one.plain.processorTime[round]!));
  return [
    withQuartiles(ratioOf(one, 'requestsPerSecond')),
    withQuartiles(ratioOf(one, 'processorTime')),
    figure(more.median),
  ];
}

function absoluteTable(pools: readonly Measured[]): string {
  const change = ({ plain, rls }: Measured, what: Exclude<keyof Samples, 'wrong'>) =>
    `${figure(spread(plain[what]).median)} → ${figure(spread(rls[what]).median)}`;
  return table(
    ['application', 'clients', 'requests per second', 'p50, ms', 'p99, ms', 'processor time, µs'],
    'lrrrrr',
    pools.map((one) => [
      applicationOf(one),
      String(one.clients),
      change(one, 'requestsPerSecond'),
      change(one, 'p50'),
      change(one, 'p99'),
      change(one, 'processorTime'),
    ]),
  );
}

function deadlockText({ deadlocks }: ThroughputData): string {
  const clients = distinct(deadlocks.map((check) => check.clients));
  const pools = distinct(deadlocks.map((check) => check.poolSize));
  const sum = (of: (check: (typeof deadlocks)[number]) => number) =>
    deadlocks.reduce((total, check) => total + of(check), 0);
  const slowest = Math.max(...deadlocks.map((check) => check.slowest));
  return `A request that opens a transaction, a savepoint within it, reads through the manager in both, and then reads three times at once, on a pool of ${pools.join(', ')}, with ${clients.join(', ')} clients: ${sum(({ answered }) => answered).toLocaleString('en-US')} were answered, ${sum(({ unanswered }) => unanswered)} were not, ${sum(({ wrong }) => wrong)} wrongly; the slowest took ${figure(slowest)} ms.`;
}

function clientsChart(pools: readonly Measured[]): Chart {
  const series = distinct(pools.map(applicationOf)).map((name) => ({
    name,
    points: pools
      .filter((one) => applicationOf(one) === name)
      .map((one) => [one.clients, ratioOf(one, 'requestsPerSecond').median] as const),
  }));
  return {
    name: 'throughput-clients',
    alt: 'Requests per second with the library, as a ratio to those without it, by the number of clients',
    svg: lineChart({
      title: 'Throughput with the library',
      xName: 'clients',
      yName: 'ratio to the application without it',
      series,
      logarithmicX: true,
      reference: { value: 0.95, label: 'target: 0.95' },
    }),
  };
}

function entitiesChart(entities: readonly Measured[]): Chart {
  const counts = distinct(entities.map((one) => one.entities));
  const series = distinct(entities.map((one) => one.latency)).map((latency) => {
    const ratios = entities
      .filter((one) => one.latency === latency)
      .map((one) => ratioOf(one, 'processorTime'));
    return {
      name: `${latency} ms`,
      values: ratios.map(({ median }) => median),
      quartiles: ratios.map(({ q1, q3 }) => [q1, q3] as [number, number]),
    };
  });
  return {
    name: 'throughput-entities',
    alt: 'Processor time per request with the library, as a ratio to that without it, by the number of entities',
    svg: barChart({
      title: 'Processor time with the library, by entities in the data source',
      valueName: 'ratio to the application without it',
      categories: counts.map((count) => `${count} entities`),
      series,
      reference: { value: 1, label: 'without the library' },
    }),
  };
}

function applicationOf({ platform, poolSize }: Measured): string {
  return `${platform === 'express' ? 'Express' : 'Fastify'}, pool ${poolSize}`;
}

function clientsName(count: number): string {
  return count === 1 ? '1 client' : `${count} clients`;
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

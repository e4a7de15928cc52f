import { barChart } from '../report/charts.js';
import { figure, table } from '../report/tables.js';
import { AUTOCOMMIT, OPERATIONS, type Operation } from '../support/contender.js';
import type { Section, Target } from '../support/part.js';
import type { Spread } from '../support/statistics.js';
import { LIBRARY, PLAIN } from './contenders.js';
import type { Cost } from './measure.js';
import type { Route, StatementData } from './statements.js';

export const NAMES: Record<Operation, string> = {
  findOneBy: 'findOneBy',
  page: 'page of 50',
  insert: 'insert',
  transaction: 'transaction of 5',
  stream: 'stream of 10,000 rows',
};

/** How far plain TypeORM may be from the library. */
const MOST_AT_HALF_A_MILLISECOND = 1.03;
const MOST_AT_NO_LATENCY = 1.2;
const LEAST_AGAINST_PEERS = 2.5;

export function reportStatements(data: StatementData): Section {
  return {
    markdown: [introduction(data), costs(data), wrongRows(data), roundTrips(data), versions(data)].join(
      '\n\n',
    ),
    charts: [costChart(data)],
    targets: [noRoundTrips(data), ...autocommit(data), ...bestPeer(data)],
  };
}

function introduction({ server, pgBouncer }: StatementData): string {
  return `The same five operations on the same table of eleven columns (8 tenants, 80,000 rows; ${server}), each contender in a process of its own with one connection. A ratio is the time against the same ORM in the same version without row-level security, with an explicit \`WHERE tenant_id = …\`. Latency is added to each round trip by a TCP proxy. ${pgBouncer} runs in transaction pooling mode and knows no prepared statements of its clients.

![Cost of one findOneBy by contender and latency](chart:statements-find-one)`;
}

function costs(data: StatementData): string {
  return data.routes.map((route) => `### ${title(route)}\n\n${ratioTable(data, route.costs)}`).join('\n\n');
}

export function title({ via, latency }: Route): string {
  const added = latency === 0 ? 'no added latency' : `${latency} ms added to each round trip`;
  return `${via === 'direct' ? 'Direct' : 'Through PgBouncer'}, ${added}`;
}

function ratioTable({ contenders }: StatementData, costs: readonly Cost[]): string {
  const rows = contenders.map(({ name, label, baseline }) => [
    label,
    ...OPERATIONS.map((operation) => cell(find(costs, name, operation), name === baseline)),
  ]);
  return table(['', ...OPERATIONS.map((operation) => NAMES[operation])], 'lrrrrr', rows);
}

function cell({ microseconds, ratio }: Cost, isBaseline: boolean): string {
  if (microseconds === undefined) return 'wrong rows';
  const time = `${figure(microseconds.median)} µs`;
  return isBaseline || ratio === undefined ? time : `**${quartiles(ratio)}** ${time}`;
}

export function quartiles({ median, q1, q3 }: Spread): string {
  return `${figure(median)} [${figure(q1)}–${figure(q3)}]`;
}

function wrongRows({ contenders, isolation }: StatementData): string {
  const label = (name: string) => contenders.find((contender) => contender.name === name)!.label;
  return `### Through PgBouncer, 20 operations at a time: whose rows came back

Two server connections for twenty clients, four fifths of the operations queue. An operation is _wrong_ if a row of another tenant is among its rows, and _missing_ if it got fewer rows than there are.

${table(
  ['', 'operation', 'right', 'wrong tenant', 'missing rows', 'failed'],
  'llrrrr',
  isolation.map(({ contender, operation, right, wrongTenant, missingRows, failed }) => [
    label(contender),
    NAMES[operation],
    String(right),
    wrongTenant > 0 ? `**${wrongTenant}**` : '0',
    String(missingRows),
    String(failed),
  ]),
)}`;
}

function roundTrips({ contenders, roundTrips }: StatementData): string {
  const operations = Object.keys(roundTrips[PLAIN]!) as Operation[];
  return `### Round trips, counted on the wire

${table(
  ['', ...operations.map((operation) => NAMES[operation])],
  `l${'r'.repeat(operations.length)}`,
  contenders.map(({ name, label }) => [
    label,
    ...operations.map((operation) => figure(roundTrips[name]![operation]!)),
  ]),
)}`;
}

function versions({ contenders }: StatementData): string {
  const line = ({ label, versions }: StatementData['contenders'][number]) =>
    `- ${label}: ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`;
  return `Versions:\n\n${contenders.map(line).join('\n')}`;
}

function costChart({ contenders, routes }: StatementData): Section['charts'][number] {
  const direct = routes.filter(({ via }) => via === 'direct');
  return {
    name: 'statements-find-one',
    alt: 'Bars: the time of one findOneBy against the same ORM without row-level security, by contender and latency',
    svg: barChart({
      title: 'One findOneBy, against the same ORM without row-level security',
      valueName: 'times as long',
      categories: contenders.filter(({ name, baseline }) => name !== baseline).map(({ label }) => label),
      series: direct.map(({ latency, costs }) => {
        const ratios = contenders
          .filter(({ name, baseline }) => name !== baseline)
          .map(({ name }) => find(costs, name, 'findOneBy').ratio);
        return {
          name: latency === 0 ? 'no added latency' : `${latency} ms added`,
          values: ratios.map((ratio) => ratio?.median),
          quartiles: ratios.map((ratio) => ratio && ([ratio.q1, ratio.q3] as const)),
        };
      }),
      reference: { value: 1, label: 'without RLS' },
    }),
  };
}

function noRoundTrips({ roundTrips }: StatementData): Target {
  const more = Object.entries(roundTrips[PLAIN]!).map(
    ([operation, plain]) => roundTrips[LIBRARY]![operation]! - plain,
  );
  const most = Math.max(...more);
  return {
    what: 'extra round trips per statement, in or out of a transaction',
    target: '0',
    measured: String(most),
    met: most <= 0,
  };
}

function autocommit({ headline, older }: StatementData): Target[] {
  return headline
    .filter(({ via }) => via === 'direct')
    .map(({ latency, costs }) => {
      const ratios = ratiosOf(costs);
      const olderCosts = older?.headline.find((route) => route.latency === latency)?.costs;
      const most = latency === 0 ? MOST_AT_NO_LATENCY : MOST_AT_HALF_A_MILLISECOND;
      return {
        what: `autocommit statement, against plain TypeORM with explicit WHERE, ${latency} ms latency`,
        target: `≤ ${figure(most)}`,
        measured:
          listed(ratios) +
          (older && olderCosts ? `; on Node.js ${older.node}: ${listed(ratiosOf(olderCosts))}` : ''),
        met: ratios.every(({ ratio }) => ratio.median <= most),
        note: 'What is left, as the profile shows, is PostgreSQL’s: it runs the front, and it plans and checks the policy.',
      };
    });
}

export interface OperationRatio {
  operation: Operation;
  ratio: Spread;
}

export function ratiosOf(costs: readonly Cost[], contender = LIBRARY): OperationRatio[] {
  return AUTOCOMMIT.map((operation) => ({ operation, ratio: find(costs, contender, operation).ratio! }));
}

export function listed(ratios: readonly OperationRatio[]): string {
  return ratios.map(({ operation, ratio }) => `${NAMES[operation]} ${figure(ratio.median)}`).join(', ');
}

/** Each by how much longer it takes than its own ORM without row-level security. */
function bestPeer({ contenders, routes, isolation }: StatementData): Target[] {
  const costs = routes.find(({ via, latency }) => via === 'direct' && latency === 0.5)?.costs;
  if (!costs) return [];
  const timesOf = (name: string) =>
    find(costs, name, 'findOneBy').ratio!.median / find(costs, LIBRARY, 'findOneBy').ratio!.median;
  const leaks = (name: string) =>
    isolation.some(({ contender, wrongTenant }) => contender === name && wrongTenant > 0);
  const peers = contenders
    .filter(({ name, baseline }) => name !== baseline && name !== LIBRARY)
    .toSorted((a, b) => timesOf(a.name) - timesOf(b.name));
  const best = peers[0]!;
  const safe = peers.find(({ name }) => !leaks(name));
  return [
    {
      what: 'against the best peer, 0.5 ms latency',
      target: `≥ ${LEAST_AGAINST_PEERS} times faster`,
      measured: `${figure(timesOf(best.name))} times (${best.label})`,
      met: timesOf(best.name) >= LEAST_AGAINST_PEERS,
      ...(safe && {
        note: `${best.label} makes three round trips where the library makes one, so that three times is the most there can be. It returns other tenants’ rows behind PgBouncer; against the best peer that does not it is ${figure(timesOf(safe.name))} times (${safe.label}).`,
      }),
    },
  ];
}

export function find(costs: readonly Cost[], contender: string, operation: Operation): Cost {
  return (
    costs.find((cost) => cost.contender === contender && cost.operation === operation) ?? {
      contender,
      operation,
    }
  );
}

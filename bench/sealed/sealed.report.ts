import { figure, table } from '../report/tables.js';
import { LIBRARY, SEALED } from '../statements/contenders.js';
import { listed, NAMES, quartiles, ratiosOf, title } from '../statements/statements.report.js';
import { AUTOCOMMIT, type Operation } from '../support/contender.js';
import type { Section, Target } from '../support/part.js';
import type { SealedData } from './sealed.js';

const MOST_AT_HALF_A_MILLISECOND = 1.08;

export function report(data: SealedData): Section {
  return { markdown: [costs(data), behindPgBouncer(data)].join('\n\n'), charts: [], targets: targets(data) };
}

function costs({ server, routes, roundTrips }: SealedData): string {
  const rows = routes.flatMap((route) =>
    (
      [
        ['sealed', SEALED],
        ['not sealed', LIBRARY],
      ] as const
    ).map(([form, contender]) => [
      title(route),
      form,
      ...ratiosOf(route.costs, contender).map(({ ratio }) => quartiles(ratio)),
    ]),
  );
  const trips = Object.entries(roundTrips).map(
    ([operation, count]) => `${NAMES[operation as Operation]} ${figure(count)}`,
  );
  return `A [sealed](guides/sealed-context.md) statement carries a signature beside its tenant, in the same batch, and the policy verifies it: before it looks for a row, and again for the rows that it finds. Against plain TypeORM with an explicit WHERE and without row-level security, on the table and with the operations of "Statement cost" (${server}):

${table(['', '', ...AUTOCOMMIT.map((operation) => NAMES[operation])], `ll${'r'.repeat(AUTOCOMMIT.length)}`, rows)}

Round trips, counted on the wire: ${trips.join(', ')}.`;
}

function behindPgBouncer({ isolation }: SealedData): string {
  const sum = (of: (one: SealedData['isolation'][number]) => number) =>
    isolation.reduce((total, one) => total + of(one), 0);
  return `Through PgBouncer in transaction pooling mode, 20 operations at a time over two server connections: ${sum(({ right }) => right)} right, ${sum(({ wrongTenant }) => wrongTenant)} with another tenant's rows, ${sum(({ missingRows }) => missingRows)} with rows missing, ${sum(({ failed }) => failed)} failed.`;
}

function targets({ routes }: SealedData): Target[] {
  const route = routes.find(({ via, latency }) => via === 'direct' && latency === 0.5);
  if (!route) return [];
  const ratios = ratiosOf(route.costs, SEALED);
  return [
    {
      what: 'sealed autocommit statement, against plain TypeORM with explicit WHERE, 0.5 ms latency',
      target: `≤ ${figure(MOST_AT_HALF_A_MILLISECOND)}`,
      measured: listed(ratios),
      met: ratios.every(({ ratio }) => ratio.median <= MOST_AT_HALF_A_MILLISECOND),
      note: 'What is more than without a seal is PostgreSQL’s. A PL/pgSQL function reads a key and computes an HMAC, twice for each table: verified once, behind a comparison, the tenant could be changed half-way, or an error would tell of hidden rows. And it parses the front each time: what is prepared under a name could be replaced by whoever can run SQL on the connection.',
    },
  ];
}

import { figure, table, withQuartiles } from '../report/tables.js';
import { LIBRARY, PLAIN, SEALED } from '../statements/contenders.js';
import { find, listed, NAMES, quartiles, ratiosOf, title } from '../statements/statements.report.js';
import { AUTOCOMMIT, type Operation } from '../support/contender.js';
import type { Section, Target } from '../support/part.js';
import { difference, spread } from '../support/statistics.js';
import { SEAL_STEPS, type SealStep } from './breakdown.js';
import type { SealedData } from './sealed.js';

const MOST_AT_HALF_A_MILLISECOND = 1.08;

export function report(data: SealedData): Section {
  return {
    markdown: [costs(data), behindPgBouncer(data), steps(data)].join('\n\n'),
    charts: [],
    targets: targets(data),
  };
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

const STEP_NAMES: Record<SealStep, string> = {
  carried: 'carried without a seal: a front that is prepared, a plain policy',
  front: 'a front with a seal, which is parsed each time',
  form: 'the form of the sealed policy, with the bare setting where it verifies',
  once: 'verified once: for the rows',
  sealed: 'verified twice: before any row is looked for, too',
};

function steps({ steps: { elapsed, cpu } }: SealedData): string {
  const rows = SEAL_STEPS.map((step, index) => {
    const before = SEAL_STEPS[index - 1];
    return [
      STEP_NAMES[step],
      figure(spread(elapsed[step]).median),
      before ? withQuartiles(difference(elapsed[step], elapsed[before])) : '',
      cpu ? figure(spread(cpu[step]).median) : 'not known',
      cpu && before ? withQuartiles(difference(cpu[step], cpu[before])) : '',
    ];
  });
  return `### What a seal costs PostgreSQL

One row by its key, in the bytes that a client wrote, recorded once and sent over and over: nothing of the client is in a difference. Each step has what the one before it has.

${table(['', 'µs', 'more', 'server CPU µs', 'more'], 'lrrrr', rows)}`;
}

function targets({ routes, steps: { elapsed } }: SealedData): Target[] {
  const route = routes.find(({ via, latency }) => via === 'direct' && latency === 0.5);
  if (!route) return [];
  const ratios = ratiosOf(route.costs, SEALED);
  const more = (step: SealStep, than: SealStep) => difference(elapsed[step], elapsed[than]).median;
  const { operation, ratio: notSealed } = ratiosOf(route.costs, LIBRARY)[0]!;
  const plain = find(route.costs, PLAIN, operation).microseconds!.median;
  const unverified = notSealed.median + more('form', 'carried') / plain;
  return [
    {
      what: 'sealed autocommit statement, against plain TypeORM with explicit WHERE, 0.5 ms latency',
      target: `≤ ${figure(MOST_AT_HALF_A_MILLISECOND)}`,
      measured: listed(ratios),
      met: ratios.every(({ ratio }) => ratio.median <= MOST_AT_HALF_A_MILLISECOND),
      note: `What is more than without a seal is PostgreSQL’s: ${figure(more('sealed', 'carried'))} µs for one row by its key. Of them ${figure(more('form', 'carried'))} are there before anything is verified, which alone makes ${NAMES[operation]} ${figure(unverified)}: the front is parsed each time, because what is prepared under a name could be replaced by whoever can run SQL on the connection, and PostgreSQL plans a sub-select for each place that needs the verified tenant. The other ${figure(more('sealed', 'form'))} are two calls of a PL/pgSQL function that reads a key and computes an HMAC. With one call the tenant could be changed half-way, or an error would tell of hidden rows.`,
    },
  ];
}

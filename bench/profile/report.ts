import { barChart } from '../report/charts.js';
import { figure, table, withQuartiles } from '../report/tables.js';
import type { Section, Target } from '../support/part.js';
import { difference, ratio, spread } from '../support/statistics.js';
import type { ApplicationKind } from './application.process.js';
import { FRONT_BATCHES, type FrontBatch } from './front.js';
import { OWNERS, type Owner } from './owners.js';
import type { ProfileData } from './profile.js';

const CONTEXT_LIMIT = 10;
/** What a seal may take of the application's time for a statement. */
const SEAL_LIMIT = 5;
const TOP_FUNCTIONS = 10;
/** From the least to the whole; each has what the one before it has. */
const APPLICATIONS: readonly [ApplicationKind, string][] = [
  ['nothing', 'without the library'],
  ['context', 'that loads nestjs-cls'],
  ['interceptor', 'with an interceptor that does nothing'],
  ['module', 'with the module'],
];
const BATCH_NAMES: Record<FrontBatch, string> = {
  alone: 'the statement alone',
  front: 'with the front',
  policy: 'with the front, on the table with the policy',
};

export function report(data: ProfileData): Section {
  const markdown = [processor(data), memory(data), ...seal(data), context(data), server(data)].join('\n\n');
  return {
    markdown,
    charts: [
      {
        name: 'profile-cpu',
        alt: 'CPU time of one findOneBy by whose code it is spent in, plain and carried',
        svg: barChart({
          title: 'CPU profile of one findOneBy',
          valueName: 'self time, µs per statement, under the profiler (median, quartiles)',
          categories: OWNERS,
          series: [
            { name: 'TypeORM, explicit WHERE', ...bars(data, 'plain') },
            { name: 'nestjs-rls-tenants', ...bars(data, 'carried') },
          ],
        }),
      },
    ],
    targets: [requestTarget(data), ...sealTarget(data)],
  };
}

function processor(data: ProfileData): string {
  const { elapsed, cpu } = data;
  const rows = OWNERS.map((owner) => [
    owner,
    figure(spread(ownTimes(data, 'plain', owner)).median),
    figure(spread(ownTimes(data, 'carried', owner)).median),
    withQuartiles(difference(ownTimes(data, 'carried', owner), ownTimes(data, 'plain', owner))),
  ]);
  return `One \`findOneBy\` of a table with eleven columns, on ${data.server} without added latency. _Plain_ is a process that
never loads the library: no RLS, the tenant in the WHERE clause.

${table(['microseconds for a statement', 'plain', 'carried', 'difference', 'ratio'], 'lrrrr', [
  ['elapsed, one after the other', ...compared(elapsed.plain, elapsed.carried)],
  ["CPU time of the application's process, 8 at a time", ...compared(cpu.plain, cpu.carried)],
])}

### Whose code it is

Self time in microseconds for one statement, 8 at a time, from V8's CPU profiler, which slows both sides down. Writing
to the socket is _Node.js_; _waiting_ is for the server; _the loop itself_ is the benchmark's. Where the hooks of
\`AsyncLocalStorage\` are on, every promise of every package pays for them: under _nestjs-cls and async_hooks_, and in
part under _Node.js_.

${table(['', 'plain', 'carried', 'difference'], 'lrrr', rows)}

![](chart:profile-cpu)

The functions of the library that most time is spent in:

${table(['function', 'µs per statement'], 'lr', topFunctions(data))}`;
}

function memory({ bytes: { plain, carried } }: ProfileData): string {
  const kib = (samples: readonly number[]) => samples.map((value) => value / 1024);
  const row = ['KiB for a statement', ...compared(kib(plain), kib(carried))];
  return `### What it allocates

Bytes on and off the heap before and after a few hundred statements, in a process whose young generation is so large
that nothing is collected meanwhile.

${table(['', 'plain', 'carried', 'difference', 'ratio'], 'lrrrr', [row])}`;
}

/** Empty for results of a time when there was no seal. */
function seal({ seal: measured }: ProfileData): string[] {
  if (!measured) return [];
  const { cpu, making } = measured;
  return [
    `### What a seal takes of the application

The same statements with a seal and without, in CPU time of the application's process, 8 at a time. PostgreSQL does the
same for both here: the policies do not ask for the seal. A seal is made for each tenant and connection, and again after
half of its lifetime; in between it is kept, ready to be sent. The HMAC of one takes ${withQuartiles(spread(making))} µs.

${table(['microseconds for a statement', 'carried', 'sealed', 'difference', 'ratio'], 'lrrrr', [
  ["CPU time of the application's process", ...compared(cpu.carried, cpu.sealed)],
])}`,
  ];
}

function context({ context, request }: ProfileData): string {
  const { sync, syncInContext, async: alone, asyncInContext } = context;
  const rows = APPLICATIONS.map(([kind, name], index) => [
    name,
    figure(spread(request[kind]).median),
    ...(index === 0 ? ['', ''] : moreThan(request, APPLICATIONS[index - 1]![0], kind)),
  ]);
  return `### What the context costs

By itself, \`tenantContext(id, fn)\` takes, in microseconds:

${table(['', 'µs'], 'lr', [
  ['around a function that returns at once', withQuartiles(difference(syncInContext, sync))],
  ['around one that is awaited', withQuartiles(difference(asyncInContext, alone))],
])}

A request to a Nest application on Fastify whose handler does not query, in CPU time of the application's process. Each
application has what the one before it has, and one thing more:

${table(['application', 'CPU µs per request', 'more', 'more than the first'], 'lrrr', rows)}

nestjs-cls, like every use of \`AsyncLocalStorage\` before Node.js 24, turns on hooks that every promise pays for. An
application that has a request context or tracing has them already, and one that has an interceptor already pays for
the first one.`;
}

function server({ front: { elapsed, cpu } }: ProfileData): string {
  const rows = FRONT_BATCHES.map((batch) => [
    BATCH_NAMES[batch],
    figure(spread(elapsed[batch]).median),
    batch === 'alone' ? '' : withQuartiles(difference(elapsed[batch], elapsed.alone)),
    cpu ? figure(spread(cpu[batch]).median) : 'not known',
    cpu && batch !== 'alone' ? withQuartiles(difference(cpu[batch], cpu.alone)) : '',
  ]);
  return `### What the front costs PostgreSQL

The bytes that a client wrote, recorded once and sent over and over: nothing of the client is in the difference.

${table(['batch', 'µs', 'more', 'server CPU µs', 'more'], 'lrrrr', rows)}`;
}

function requestTarget({ request: { nothing, context, interceptor, module } }: ProfileData): Target {
  const cost = difference(module, nothing);
  const hooks = difference(context, nothing).median;
  const nest = difference(interceptor, context).median;
  return {
    what: 'context cost per request',
    target: `≤ ${CONTEXT_LIMIT} µs`,
    measured: `${withQuartiles(cost)} µs`,
    met: cost.median <= CONTEXT_LIMIT,
    note: `Of the ${figure(cost.median)} µs, ${figure(hooks)} are the promise hooks of AsyncLocalStorage, and ${figure(nest)} are what Nest takes for a first interceptor, even one that does nothing.`,
  };
}

function sealTarget({ seal: measured }: ProfileData): Target[] {
  if (!measured) return [];
  const cost = difference(measured.cpu.sealed, measured.cpu.carried);
  return [
    {
      what: "application's cost of carrying a seal, per statement",
      target: `< ${SEAL_LIMIT} µs more`,
      measured: `${withQuartiles(cost)} µs`,
      met: cost.median < SEAL_LIMIT,
    },
  ];
}

function bars(data: ProfileData, side: 'plain' | 'carried') {
  const spreads = OWNERS.map((owner) => spread(ownTimes(data, side, owner)));
  return {
    values: spreads.map(({ median }) => median),
    quartiles: spreads.map(({ q1, q3 }): [number, number] => [q1, q3]),
  };
}

function ownTimes({ profiles }: ProfileData, side: 'plain' | 'carried', owner: Owner): number[] {
  return profiles[side].map(({ owners }) => owners[owner]);
}

/** Means: a function that is in few samples has a median of nothing. */
function topFunctions({ profiles: { carried } }: ProfileData): string[][] {
  const total: Record<string, number> = {};
  for (const { functions } of carried)
    for (const [name, time] of Object.entries(functions)) total[name] = (total[name] ?? 0) + time;
  return Object.entries(total)
    .sort(([, a], [, b]) => b - a)
    .slice(0, TOP_FUNCTIONS)
    .map(([name, time]) => [`\`${name}\``, figure(time / carried.length)]);
}

function moreThan(request: ProfileData['request'], before: ApplicationKind, kind: ApplicationKind): string[] {
  return [before, APPLICATIONS[0]![0]].map((other) =>
    withQuartiles(difference(request[kind], request[other])),
  );
}

function compared(plain: readonly number[], carried: readonly number[]): string[] {
  return [
    figure(spread(plain).median),
    figure(spread(carried).median),
    withQuartiles(difference(carried, plain)),
    withQuartiles(ratio(carried, plain)),
  ];
}

import { lineChart } from '../report/charts.js';
import { figure, table } from '../report/tables.js';
import type { Section, Target } from '../support/part.js';
import { ratio, spread, type Spread } from '../support/statistics.js';
import type { GrowthData, SizeData, WorkData } from './measure.js';
import { YOUNG_GENERATION } from './processes.js';

const MOST_TIME = 11;
const FLAT_BELOW = 1.5;
const MIB = 2 ** 20;

/** What grew when the work grew tenfold: the last size against the one before. */
interface Growth {
  time: Spread;
  heap: number;
  /** Of what is in use without what the loaded process has anyway. */
  heapBeyond: number;
  rss: number;
}

export function reportGrowth(data: GrowthData): Section {
  const steps = data.works.map((work) => ({ work, growth: growthOf(work) }));
  const markdown = [
    introduction(data),
    ratioTable(steps),
    reading(),
    '![Seconds of work for each size, on logarithmic axes](chart:growth-time)',
    absoluteTable(data.works),
    constants(data),
  ].join('\n\n');
  return {
    markdown,
    charts: [timeChart(data.works)],
    targets: steps.map(({ work, growth }) => targetOf(work, growth, data)),
  };
}

type Step = { work: WorkData; growth: Growth };

function growthOf({ sizes }: WorkData): Growth {
  const [one, ten] = lastTwo(sizes);
  return {
    time: ratio(workMs(ten), workMs(one)),
    heap: peakHeap(ten) / peakHeap(one),
    heapBeyond: heapBeyond(ten) / heapBeyond(one),
    rss: peakRss(ten) / peakRss(one),
  };
}

function introduction({ server, rounds, policiesPerTable, rowsPerTenant, works }: GrowthData): string {
  const most = works.map(({ sizes, unit }) => `${count(sizes.at(-1)!.size)} ${unit}`);
  return `What ten times the work costs, up to ${most.slice(0, -1).join(', ')} and ${most.at(-1)}. The audit is \`check-rls\` with a data source of as many entities, each table with ${policiesPerTable} policies; the linter is \`lint-migrations\` on files made after its own fixtures, without squawk; the backfill is one worker with ${count(rowsPerTenant)} rows for each tenant, on ${server}. Each run has a process of its own, in which the same work in its smallest size has loaded everything before; medians of ${rounds} interleaved rounds, quartiles in brackets.`;
}

function ratioTable(steps: readonly Step[]): string {
  return table(
    ['work', 'from', 'to', 'time', 'heap in use', 'memory of the process', 'heap beyond the loaded process'],
    'lrrrrrr',
    steps.map(({ work, growth: { time, ...memory } }) => {
      const [one, ten] = lastTwo(work.sizes);
      const quartiles = `${figure(time.median)} (${figure(time.q1)}–${figure(time.q3)})`;
      const sizes = [count(one.size), `${count(ten.size)} ${work.unit}`];
      const held = [memory.heap, memory.rss, memory.heapBeyond];
      return [work.name, ...sizes, ...[quartiles, ...held.map(figure)].map((times) => `${times} times`)];
    }),
  );
}

function reading(): string {
  return `Time is that of the work alone. "Heap in use" is the most that full collections of garbage left during the run, and "memory of the process" its peak resident set; both contain what the loaded process has anyway. V8's young generation is held to semi-spaces of ${YOUNG_GENERATION} MiB, or the peak would tell how far V8 enlarged it. Memory counts as flat if both grow less than ${FLAT_BELOW} times. The last column is the heap in use without that of the loaded process: what is held for the work.`;
}

function absoluteTable(works: readonly WorkData[]): string {
  return table(
    [
      'work',
      'size',
      'time of the work',
      'for each',
      'whole command',
      'heap beyond the loaded process',
      'for each',
      'peak memory',
    ],
    'lrrrrrrr',
    works.flatMap(({ name, unit, sizes }) => sizes.map((size) => absolutes(name, unit, size))),
  );
}

function absolutes(name: string, unit: string, data: SizeData): string[] {
  const { median, q1, q3 } = spread(workMs(data));
  const beyond = heapBeyond(data);
  return [
    name,
    `${count(data.size)} ${unit}`,
    `${seconds(median)} (${seconds(q1)}–${seconds(q3)}) s`,
    `${figure((median * 1000) / data.size)} µs`,
    data.commandMs.length > 0 ? `${seconds(spread(data.commandMs).median)} s` : '',
    `${figure(beyond / MIB)} MiB`,
    `${figure(beyond / data.size / 1024)} KiB`,
    `${figure(peakRss(data) / MIB)} MiB`,
  ];
}

/** What does not grow. */
function constants({ works, squawk }: GrowthData): string {
  const loaded = works.map(({ name, sizes }) => {
    const loadMs = spread(sizes.flatMap(({ samples }) => samples.map((sample) => sample.loadMs))).median;
    const heap = spread(sizes.flatMap(({ heaps }) => heaps.map(({ loadedHeap }) => loadedHeap))).median;
    return `${seconds(loadMs)} s and ${figure(heap / MIB)} MiB of heap for the ${name}`;
  });
  const each = (squawk.withMs - squawk.withoutMs) / squawk.files;
  return `What does not grow: to start Node.js, load everything and do the smallest work takes ${loaded.join(', ')}. Where squawk is installed, \`lint-migrations\` also runs it, one process for each migration with SQL of its own: the command took ${seconds(squawk.withMs)} s with it and ${seconds(squawk.withoutMs)} s without it on ${count(squawk.files)} files, ${figure(each)} ms for each file.`;
}

function timeChart(works: readonly WorkData[]) {
  return {
    name: 'growth-time',
    alt: 'Seconds of work for each size, on logarithmic axes',
    svg: lineChart({
      title: 'Time of the work, by its size',
      xName: 'tables, files or rows',
      yName: 'seconds',
      series: works.map(({ name, unit, sizes }) => ({
        name: `${name} (${unit})`,
        points: sizes.map((data) => [data.size, spread(workMs(data)).median / 1000] as const),
      })),
      logarithmicX: true,
      logarithmicY: true,
    }),
  };
}

function targetOf(work: WorkData, { time, heap, rss }: Growth, data: GrowthData): Target {
  const memory = Math.max(heap, rss);
  const fast = time.median <= MOST_TIME;
  const flat = memory < FLAT_BELOW;
  const notes = [...(fast ? [] : [slow(work)]), ...(flat ? [] : [held(work, data)])];
  return {
    what: `${work.name}, 10 times the work`,
    target: `≤ ${MOST_TIME} times the time, memory flat`,
    measured: `${time.median.toFixed(1)} times the time, memory ${memory.toFixed(2)} times`,
    met: fast && flat,
    ...(notes.length > 0 && { note: notes.join(' ') }),
  };
}

function slow({ sizes, unit }: WorkData): string {
  const [one, ten] = lastTwo(sizes).map((data) => (spread(workMs(data)).median * 1000) / data.size);
  return `One of the ${unit} takes ${figure(ten!)} µs instead of ${figure(one!)} µs.`;
}

function held({ name, unit, sizes }: WorkData, { policiesPerTable }: GrowthData): string {
  const [one, ten] = lastTwo(sizes);
  const kibibytes = figure(heapBeyond(ten) / ten.size / 1024);
  const few = sizes[0]!;
  return name === 'audit'
    ? `The rules judge one snapshot of the catalog, which is held as a whole beside TypeORM's metadata: ${kibibytes} KiB for each table with its entity and ${policiesPerTable} policies. From ${few.size} to ${one.size} ${unit} the heap grows ${(peakHeap(one) / peakHeap(few)).toFixed(2)} times.`
    : `${kibibytes} KiB are held for each of the ${unit}.`;
}

function lastTwo(sizes: readonly SizeData[]): [SizeData, SizeData] {
  return sizes.slice(-2) as [SizeData, SizeData];
}

function workMs({ samples }: SizeData): number[] {
  return samples.map((sample) => sample.workMs);
}

function peakHeap({ heaps }: SizeData): number {
  return spread(heaps.map((heap) => heap.peakHeap)).median;
}

function heapBeyond({ heaps }: SizeData): number {
  return spread(heaps.map((heap) => Math.max(0, heap.peakHeap - heap.loadedHeap))).median;
}

function peakRss({ samples }: SizeData): number {
  return spread(samples.map((sample) => sample.peakRss)).median;
}

function seconds(milliseconds: number): string {
  return figure(milliseconds / 1000);
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

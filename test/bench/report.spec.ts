import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PARTS } from '../../bench/parts.js';
import { barChart, lineChart, type BarChart, type LineChart } from '../../bench/report/charts.js';
import { DOCS, keptResults, renderReport, writtenFiles, type Kept } from '../../bench/report/report.js';
import type { Section } from '../../bench/support/part.js';
import { interleave } from '../../bench/support/rounds.js';
import { ratio, spread } from '../../bench/support/statistics.js';

const BARS: BarChart = {
  title: 'Cost & <effect>',
  valueName: 'µs per statement',
  categories: ['findOneBy', '@nestjs-cls/transactional + set_config'],
  series: [
    { name: 'plain', values: [117, undefined] },
    { name: 'carried', values: [131, 1_234], quartiles: [[120, 140], undefined] },
  ],
  reference: { value: 2_000, label: 'the limit' },
};
const LINES: LineChart = {
  title: 'Growth',
  xName: 'rows',
  yName: 'ms',
  series: [
    {
      name: 'equality',
      points: [
        [1_000, 0.51],
        [1_000_000, 0.62],
      ],
    },
  ],
  logarithmicX: true,
  logarithmicY: true,
};

const MACHINE = {
  processor: 'Abacus',
  cores: 2,
  memoryGiB: 8,
  system: 'linux 6.1',
  node: 'v20.20.2',
  packages: { pg: '8.23.0' },
};

/** A part that was measured, with this section. */
function kept(name: string, section: Partial<Section>): Kept {
  const part = {
    name,
    title: `The ${name}`,
    run: () => Promise.reject(new Error('is not measured here')),
    report: () => ({ markdown: '', charts: [], targets: [], ...section }),
  };
  return {
    part,
    result: { part: name, measuredAt: '2026-01-02T03:04:05.678Z', minutes: 1.25, machine: MACHINE, data: {} },
  };
}

async function page(...parts: Kept[]): Promise<string> {
  return (await renderReport(parts)).get('benchmarks.md')!;
}

describe('a chart', () => {
  it('is the same bytes for the same data, whatever was drawn before', () => {
    const [bars, lines] = [barChart(BARS), lineChart(LINES)];
    expect(lineChart(LINES)).toBe(lines);
    expect(barChart(BARS)).toBe(bars);
    jest.isolateModules(() => {
      const fresh = jest.requireActual<{ barChart: typeof barChart }>('../../bench/report/charts.js');
      expect(fresh.barChart).not.toBe(barChart);
      expect(fresh.barChart(BARS)).toBe(bars);
    });
  });

  it('shows the figures, says where there is none, and names what it shows', () => {
    const svg = barChart(BARS);
    const texts = [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text);
    expect(texts).toEqual(
      expect.arrayContaining(['117', '131', '1,234', 'n/a', 'the limit', 'µs per statement']),
    );
    expect(texts).toEqual(expect.arrayContaining([...BARS.categories, 'plain', 'carried']));
    expect(svg).toContain('<title>Cost &amp; &lt;effect&gt;</title>');
    expect(lineChart(LINES)).toContain('>0.620<');
  });
});

describe('the report', () => {
  it('shows what is met, and what is not with the reason', async () => {
    const text = await page(
      kept('first', {
        targets: [
          { what: 'round trips', target: '0', measured: '0', met: true },
          { what: 'a page', target: '≤ 1.05', measured: '1.10', met: false, note: 'TypeORM | itself' },
        ],
      }),
      kept('second', {
        targets: [{ what: 'more', target: '1', measured: '2', met: false, note: 'Physics' }],
      }),
    );
    expect(text).toMatch(/\| round trips +\| 0 +\| 0 +\| met ✓ +\|/);
    expect(text).toMatch(/\| a page +\| ≤ 1\.05 +\| 1\.10 +\| not met ✗ \(1\) +\|/);
    expect(text).toMatch(/\| more +\| 1 +\| 2 +\| not met ✗ \(2\) +\|/);
    expect(text).toContain('\n1. TypeORM | itself\n2. Physics\n');
  });

  it('says what was measured where and when, and what was not', async () => {
    const text = await page(kept('first', { markdown: '### Detail' }), {
      ...kept('second', {}),
      result: undefined,
    });
    expect(text).toContain('The machine: Abacus, 2 cores, 8 GiB, linux 6.1, Node.js v20.20.2, pg 8.23.0.');
    expect(text).toMatch(/\| The first +\| 2026-01-02 +\| +1\.3 \|/);
    expect(text).toContain('## The first\n\n### Detail\n');
    expect(text).toMatch(/\| The second +\| +\| not measured: `npm run bench:second` \|/);
    expect(text).toContain('## The second\n\nNot measured');
  });

  it('links each chart where its part refers to it, and refuses one that is lost', async () => {
    const charts = [{ name: 'first-cost', alt: 'Cost', svg: '<svg></svg>\n' }];
    const files = await renderReport([kept('first', { markdown: '![](chart:first-cost)', charts })]);
    expect(files.get('benchmarks.md')).toContain('![Cost](benchmarks/first-cost.svg)');
    expect(files.get('benchmarks/first-cost.svg')).toBe('<svg></svg>\n');
    await expect(page(kept('first', { charts }))).rejects.toThrow('No text shows the chart "first-cost"');
    await expect(page(kept('first', { markdown: '![](chart:other)' }))).rejects.toThrow('no chart "other"');
  });

  it('in docs is what the results in bench/results render to, of every part', async () => {
    const results = await keptResults(PARTS);
    expect(results.filter(({ result }) => !result).map(({ part }) => part.name)).toEqual([]);
    const files = await renderReport(results);
    expect([...files.keys()].sort()).toEqual((await writtenFiles()).sort());
    for (const [name, text] of files) expect(await readFile(join(DOCS, name), 'utf8')).toBe(text);
  });
});

describe('statistics', () => {
  it('take median and quartiles between the samples', () => {
    expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, q1: 1.75, q3: 3.25 });
    expect(spread([30, 10, 20, 40, 50])).toEqual({ median: 30, q1: 20, q3: 40 });
    expect(spread([7])).toEqual({ median: 7, q1: 7, q3: 7 });
    expect(() => spread([])).toThrow('nothing');
  });

  it('take a ratio round by round, not of the medians', () => {
    // The rounds say 2, 1, 3; the medians would say 20 / 20.
    expect(ratio([20, 20, 90], [10, 20, 30])).toEqual({ median: 2, q1: 1.5, q3: 2.5 });
    expect(() => ratio([1], [1, 2])).toThrow('as many rounds');
  });

  it('come from rounds in which each takes its turn, and another begins each time', async () => {
    const order: string[] = [];
    const turn = (name: string) => () => Promise.resolve(order.push(name));
    const samples = await interleave({ a: turn('a'), b: turn('b'), c: turn('c') }, 4);
    expect(order.join('')).toBe('abcbcacababc');
    expect(samples).toEqual({ a: [1, 6, 8, 10], b: [2, 4, 9, 11], c: [3, 5, 7, 12] });
  });
});

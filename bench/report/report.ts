import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Options } from 'prettier';
import * as estree from 'prettier/plugins/estree';
import * as markdownPlugin from 'prettier/plugins/markdown';
import * as typescript from 'prettier/plugins/typescript';
import { format } from 'prettier/standalone';
import type { Machine } from '../support/machine.js';
import type { Chart, Part, Section, Target } from '../support/part.js';
import { readResult, type Result } from '../support/results.js';
import { table } from './tables.js';

/** Where reports are written; like all folders the workspace's, from where `npm run` starts every script. */
export const DOCS = resolve('docs');

const PAGE = 'benchmarks.md';
const CHARTS = 'benchmarks';

/** A part, with what its last run left behind, if it ever ran. */
export interface Kept {
  part: Part<unknown>;
  result: Result<unknown> | undefined;
}

interface Measured {
  part: Part<unknown>;
  result: Result<unknown>;
  section: Section;
}

/** Writes docs/benchmarks.md and its charts from the results that are kept, and removes charts of earlier reports. */
export async function writeReport(parts: readonly Part<unknown>[]): Promise<void> {
  const files = await renderReport(await keptResults(parts));
  await mkdir(join(DOCS, CHARTS), { recursive: true });
  for (const [name, text] of files) await writeFile(join(DOCS, name), text);
  for (const name of await writtenFiles()) if (!files.has(name)) await rm(join(DOCS, name));
}

export async function keptResults(parts: readonly Part<unknown>[]): Promise<Kept[]> {
  return Promise.all(parts.map(async (part) => ({ part, result: await readResult(part.name) })));
}

/** The files of the last report, by their names in {@link DOCS}. */
export async function writtenFiles(): Promise<string[]> {
  const charts = await readdir(join(DOCS, CHARTS)).catch(() => []);
  return [PAGE, ...charts.filter((file) => file.endsWith('.svg')).map((file) => `${CHARTS}/${file}`)];
}

/** The report as files, by their names in {@link DOCS}. */
export async function renderReport(kept: readonly Kept[]): Promise<Map<string, string>> {
  const measured = kept.flatMap(({ part, result }) =>
    result ? [{ part, result, section: part.report(result.data) }] : [],
  );
  const missing = kept.flatMap(({ part, result }) => (result ? [] : [part]));
  const page = [
    introduction(kept),
    targets(measured, missing),
    method(measured),
    ...kept.map(({ part }) => partSection(part, measured.find((one) => one.part === part)?.section)),
  ].join('\n\n');
  const files = new Map([[PAGE, await tidy(page)]]);
  for (const { name, svg } of measured.flatMap(({ section }) => section.charts)) {
    const file = `${CHARTS}/${name}.svg`;
    if (files.has(file)) throw new Error(`Two charts are called "${name}".`);
    files.set(file, svg);
  }
  return files;
}

function introduction(kept: readonly Kept[]): string {
  const single = kept.map(({ part }) => `\`npm run bench:${part.name}\``).join(', ');
  return `<!-- Written by \`npm run bench\` from the files in bench/results. Do not edit it: a test compares them. -->

# Benchmarks

What it costs that PostgreSQL keeps the tenants apart with \`nestjs-rls-tenants\`: against TypeORM alone, and against
other ways to do it. \`npm run bench\` measures everything again and writes this page; one part at a time:
${single}. [bench/README.md](../bench/README.md) says how the benchmarks are built.`;
}

function targets(measured: readonly Measured[], missing: readonly Part<unknown>[]): string {
  const notes: string[] = [];
  const verdict = ({ met, note }: Target) => {
    if (met) return 'met ✓';
    if (note === undefined) return 'not met ✗';
    return `not met ✗ (${notes.push(note)})`;
  };
  const rows = measured.flatMap(({ section }) =>
    section.targets.map((target) => [target.what, target.target, target.measured, verdict(target)]),
  );
  const unmeasured = missing.map(({ title, name }) => [
    title,
    '',
    `not measured: \`npm run bench:${name}\``,
    '',
  ]);
  return `## Targets

${table(['what', 'target', 'measured', ''], 'llll', [...rows, ...unmeasured])}

${notes.map((note, index) => `${index + 1}. ${note}`).join('\n')}`;
}

function method(measured: readonly Measured[]): string {
  const runs = measured.map(({ part, result }) => [
    part.title,
    result.measuredAt.slice(0, 10),
    result.minutes.toFixed(1),
  ]);
  return `## How it was measured

- **In interleaved rounds.** Each contender, in a process of its own, takes its turn in each round, and the one who
  begins changes. What disturbs the machine for longer than a turn disturbs all of them.
- **As ratios.** A ratio is taken within each round, so that a slow round is slow on both sides of it. Figures are
  medians; quartiles stand in brackets, and as whiskers in the charts. Absolute figures hold for this machine only.
- **On a PostgreSQL of its own**, on the same machine, that never waits for the disk (\`fsync\` and
  \`synchronous_commit\` off, no autovacuum). That makes the baseline faster, so the share of the library larger.
- **Latency** is added by a TCP proxy, in a process of its own, to each round trip.

${machines(measured)}

${runs.length === 0 ? '' : table(['part', 'measured on', 'minutes'], 'llr', runs)}`;
}

function machines(measured: readonly Measured[]): string {
  const parts = new Map<string, string[]>();
  for (const { part, result } of measured) {
    const machine = describe(result.machine);
    parts.set(machine, [...(parts.get(machine) ?? []), part.title]);
  }
  const single = parts.size === 1;
  return [...parts]
    .map(([machine, titles]) => `${single ? 'The machine' : titles.join(', ')}: ${machine}.`)
    .join('\n\n');
}

function describe({ processor, cores, memoryGiB, system, node, packages }: Machine): string {
  const versions = Object.entries(packages).map(([name, version]) => `${name} ${version}`);
  return [`${processor}, ${cores} cores`, `${memoryGiB} GiB`, system, `Node.js ${node}`, ...versions].join(
    ', ',
  );
}

function partSection({ title, name }: Part<unknown>, section: Section | undefined): string {
  const text = section
    ? withImages(section)
    : `Not measured: there is no result of \`npm run bench:${name}\`.`;
  return `## ${title}\n\n${text}`;
}

/** Puts links to the files where the part refers to its charts. @throws if it has none of that name, or never refers to one. */
function withImages({ markdown, charts }: Section): string {
  const unused = new Map(charts.map((chart) => [chart.name, chart]));
  const find = (name: string): Chart => {
    const chart = charts.find((one) => one.name === name);
    if (!chart) throw new Error(`There is no chart "${name}".`);
    unused.delete(name);
    return chart;
  };
  const text = markdown.replaceAll(/!\[([^\]]*)\]\(chart:([^)]+)\)/g, (_image, alt: string, name: string) => {
    const chart = find(name);
    return `![${alt || chart.alt}](${CHARTS}/${name}.svg)`;
  });
  for (const name of unused.keys()) throw new Error(`No text shows the chart "${name}".`);
  return text;
}

/** As `prettier --write` does it. Not with its Node.js entry, which Jest cannot load. */
async function tidy(markdown: string): Promise<string> {
  const config = JSON.parse(await readFile(join(dirname(DOCS), '.prettierrc.json'), 'utf8')) as Options;
  return format(markdown, { ...config, parser: 'markdown', plugins: [markdownPlugin, estree, typescript] });
}

import { barChart } from '../report/charts.js';
import { figure, table } from '../report/tables.js';
import type { Chart, Section } from '../support/part.js';
import type { TenantSize } from './data.sql.js';
import type { Measurements } from './measure.js';
import type { Cell, PolicyData, TableSize } from './policies.js';
import { RAW_QUERIES } from './queries.sql.js';
import { targets } from './targets.js';
import type { OrmWay, RawWay } from './ways.js';

const WAY_NAMES: Record<Exclude<RawWay, 'explicit' | 'explicitCarried'>, string> = {
  library: 'library',
  libraryExplicit: 'library, and WHERE',
  subselect: 'sub-select',
  or: 'OR',
  case: 'CASE',
  prowler: 'prowler',
};
type NamedWay = keyof typeof WAY_NAMES;

export const SIZE_NAMES: Record<TenantSize, string> = {
  small: 'small',
  onePercent: '1 %',
  largest: '30 %',
};

export function report(data: PolicyData): Section {
  const [first] = data.sizes;
  const markdown = [
    introduction(data),
    ...data.sizes.flatMap((size) => [
      `### ${count(size.rows)} rows: time relative to explicit WHERE`,
      ratioTable(size),
    ]),
    chartLinks(first!),
    '### Absolute times',
    ...data.sizes.map((size) => absoluteTable(size)),
    '### Why: two plans of one query',
    excerpts(first!),
  ].join('\n\n');
  return {
    markdown,
    charts: (['small', 'largest'] as const).map((tenant) => formsChart(first!, tenant)),
    targets: targets(data),
  };
}

function introduction({ postgres, libraryPredicate, otherForms, sizes }: PolicyData): string {
  const tenants = sizes.map(
    (size) =>
      `of ${count(size.rows)} rows, ${count(size.tenants.small)}, ${count(size.tenants.onePercent)} and ${count(size.tenants.largest)} are theirs`,
  );
  const code = (predicate: string) => `\`${predicate.replaceAll(/\s+/g, ' ')}\``;
  return `${postgres}; a thousand tenants whose rows lie between each other, of which one holds 30 %, five hold 1 % each, and the others share the rest by 1/√rank. Queries run for a small tenant (rank 500), for one of 1 % and for the largest: ${tenants.join('; ')}. Rows, keys and indexes are the same for all forms; only the policies of the five tables are altered.

A time is the round trip on loopback of the whole batch, the carried setting in front included: what an application waits for. \`EXPLAIN ANALYZE\` would leave out parsing and the rewriting that a policy costs. Statements are not prepared, so each one is planned. Ratios compare with explicit conditions on every table, without row-level security, under the same carrying; those marked † compare with the same sent alone, so that they include what carrying costs. Medians of the rounds, quartiles in parentheses; every result was compared with the baseline's. \`>\`: took longer than ${sizes[0]!.timeLimit} s, and was not measured.

- **library**: ${code(libraryPredicate)}; **library, and WHERE**: the same, with the explicit conditions too, which is what auto-scoping generates
- **sub-select**: ${code(otherForms.subselect)}
- **OR**: ${code(otherForms.or)}
- **CASE** (django-rls-tenants 1.3): ${code(otherForms.case)}
- **prowler**: ${code(otherForms.prowler)}`;
}

function ratioTable(size: TableSize): string {
  const ways = waysOf(size);
  return table(
    ['tenant', 'query', ...ways.map((way) => WAY_NAMES[way]), 'library †', 'ORM', 'ORM †'],
    `ll${'r'.repeat(ways.length + 3)}`,
    size.cells.map((cell) => [
      SIZE_NAMES[cell.size],
      RAW_QUERIES[cell.query].title,
      ...ways.map((way) => ratioCell(cell.raw, way, 'ratio', size.timeLimit, way === 'library')),
      ratioCell(cell.raw, 'library', 'ratioUncarried', size.timeLimit),
      ratioCell(cell.orm, 'library', 'ratio', size.timeLimit, true),
      ratioCell(cell.orm, 'library', 'ratioUncarried', size.timeLimit),
    ]),
  );
}

function waysOf({ cells }: TableSize): NamedWay[] {
  return (Object.keys(WAY_NAMES) as NamedWay[]).filter((way) => cells.some(({ raw }) => raw[way]));
}

function ratioCell<Name extends RawWay | OrmWay>(
  measurements: Measurements<Name>,
  way: Name,
  which: 'ratio' | 'ratioUncarried',
  timeLimit: number,
  withQuartiles = false,
): string {
  const measured = measurements[way];
  if (!measured) {
    const baseline = measurements['explicitCarried' as Name];
    return baseline ? `> ${figure((timeLimit * 1e6) / baseline.time.median)}` : '';
  }
  const { median, q1, q3 } = measured[which];
  return withQuartiles ? `${figure(median)} (${figure(q1)}–${figure(q3)})` : figure(median);
}

function absoluteTable({ rows, cells, timeLimit }: TableSize): string {
  const milliseconds = <Name extends RawWay | OrmWay>(measurements: Measurements<Name>, way: Name) => {
    const measured = measurements[way];
    return measured ? figure(measured.time.median / 1000) : `> ${figure(timeLimit * 1000)}`;
  };
  return table(
    [
      `${count(rows)} rows, ms`,
      'query',
      'explicit',
      'carried',
      'library',
      'CASE',
      'ORM explicit',
      'ORM library',
    ],
    'llrrrrrr',
    cells.map((cell) => [
      SIZE_NAMES[cell.size],
      RAW_QUERIES[cell.query].title,
      milliseconds(cell.raw, 'explicit'),
      milliseconds(cell.raw, 'explicitCarried'),
      milliseconds(cell.raw, 'library'),
      milliseconds(cell.raw, 'case'),
      milliseconds(cell.orm, 'explicit'),
      milliseconds(cell.orm, 'library'),
    ]),
  );
}

function excerpts({ excerpts: plans, rows }: TableSize): string {
  return plans
    .map(
      ({ way, lines }) =>
        `The page by created_at for the small tenant, ${count(rows)} rows, ${way === 'case' ? 'under the CASE form' : "under the library's policy"}:\n\n\`\`\`\n${lines.join('\n')}\n\`\`\``,
    )
    .join('\n\n');
}

function chartLinks(size: TableSize): string {
  return (['small', 'largest'] as const)
    .map((tenant) => `![${chartAlt(size, tenant)}](chart:${chartName(tenant)})`)
    .join('\n\n');
}

function formsChart(size: TableSize, tenant: TenantSize): Chart {
  const cells = size.cells.filter((cell) => cell.size === tenant);
  const series = (['library', 'subselect', 'or', 'case', 'prowler'] as const)
    .filter((way) => cells.some(({ raw }) => raw[way]))
    .map((way) => ({
      name: WAY_NAMES[way],
      values: cells.map(({ raw }) => raw[way]?.ratio.median),
      quartiles: cells.map(({ raw }) => quartilesOf(raw, way)),
    }));
  return {
    name: chartName(tenant),
    alt: chartAlt(size, tenant),
    svg: barChart({
      title: chartAlt(size, tenant),
      valueName: 'time relative to explicit WHERE',
      categories: cells.map(({ query }) => RAW_QUERIES[query].title),
      series,
      logarithmic: true,
      reference: { value: 1, label: 'explicit WHERE' },
    }),
  };
}

function quartilesOf(raw: Cell['raw'], way: RawWay): [number, number] | undefined {
  const measured = raw[way];
  return measured && [measured.ratio.q1, measured.ratio.q3];
}

function chartName(tenant: TenantSize): string {
  return `policies-${tenant}-tenant`;
}

function chartAlt({ rows }: TableSize, tenant: TenantSize): string {
  return `Raw SQL under each form of policy, the ${tenant} tenant of ${count(rows)} rows`;
}

export function count(value: number): string {
  return value.toLocaleString('en-US');
}

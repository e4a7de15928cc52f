import { APP_ROLE, startServer, type BenchServer } from '../support/server.js';
import type { BenchContext, Part } from '../support/part.js';
import {
  COMPLETE_TABLES,
  CREATE_TABLES,
  loadSql,
  SMALL_TABLES_SQL,
  TENANT_RANKS,
  tenantSql,
  type TenantSize,
} from './data.sql.js';
import { OTHER_FORMS, protectTables, type Policies } from './forms.js';
import { measureQuery, type Effort, type Measurements } from './measure.js';
import { checkPlan, planNodes, type Plan } from './plans.js';
import { QUERY_NAMES, type QueryName } from './queries.sql.js';
import { report } from './report.js';
import {
  connectApplication,
  type Application,
  type OrmWay,
  type RawWay,
  type Tenant,
  type Way,
} from './ways.js';

/** One query for one tenant. */
export interface Cell {
  query: QueryName;
  size: TenantSize;
  raw: Measurements<RawWay>;
  orm: Measurements<OrmWay>;
}

export interface TableSize {
  /** Tasks of all tenants. */
  rows: number;
  /** Seconds; what takes longer is not measured. */
  timeLimit: number;
  /** Tasks of each tenant that was measured. */
  tenants: Record<TenantSize, number>;
  cells: Cell[];
  plans: Plan[];
  excerpts: { way: RawWay; lines: string[] }[];
}

export interface PolicyData {
  postgres: string;
  libraryPredicate: string;
  otherForms: typeof OTHER_FORMS;
  sizes: TableSize[];
}

/** Times the limit, so that nothing is cancelled in its rounds that was just below the limit at first. */
const CANCELLED_AFTER = 1.5;

interface Scale {
  rows: number;
  sideRows: number;
  effort: Effort;
}

const QUICK: Scale[] = [
  { rows: 20_000, sideRows: 20_000, effort: { timeLimit: 1, turn: 1, budget: 50, maxRounds: 2, warmUps: 0 } },
];
const FULL: Scale[] = [
  {
    rows: 1_000_000,
    sideRows: 1_000_000,
    effort: { timeLimit: 10, turn: 12, budget: 2_500, maxRounds: 15, warmUps: 3 },
  },
  {
    rows: 10_000_000,
    sideRows: 2_000_000,
    effort: { timeLimit: 10, turn: 12, budget: 1_000, maxRounds: 9, warmUps: 3 },
  },
];

export const policies: Part<PolicyData> = {
  name: 'policies',
  title: 'Policies',
  async run(context) {
    const server = await startServer({ maintenance_work_mem: '512MB' });
    try {
      let libraryPredicate = '';
      const sizes: TableSize[] = [];
      for (const scale of context.quick ? QUICK : FULL) {
        const measured = await measureScale(server, scale, context);
        ({ libraryPredicate } = measured);
        sizes.push(measured.size);
      }
      return {
        postgres: server.version,
        libraryPredicate,
        otherForms: OTHER_FORMS,
        sizes,
      };
    } finally {
      await server.stop();
    }
  },
  report,
};

async function measureScale(
  server: BenchServer,
  scale: Scale,
  { log }: BenchContext,
): Promise<{ libraryPredicate: string; size: TableSize }> {
  const database = `rows_${scale.rows}`;
  log(`loading ${scale.rows} rows`);
  await server.sql(`CREATE DATABASE ${database}`);
  await server.sql(CREATE_TABLES, database);
  for (const statement of [...loadSql(scale.rows, scale.sideRows), ...COMPLETE_TABLES]) {
    await server.sql(statement, database);
  }
  await server.sql(
    `ALTER ROLE ${APP_ROLE} SET statement_timeout = '${CANCELLED_AFTER * scale.effort.timeLimit}s'`,
  );
  const policiesOf = await protectTables(server, database);
  const application = await connectApplication(server, database);
  try {
    const tenants = await tenantsOf(server, database);
    const explained = await explainAll(server, database, application, policiesOf, tenants);
    log(`measuring ${scale.rows} rows`);
    const cells = await measureAll(application, policiesOf, tenants, scale.effort, log);
    const counts = Object.fromEntries(
      Object.entries(tenants).map(([size, { tasks }]) => [size, tasks]),
    ) as TableSize['tenants'];
    return {
      libraryPredicate: policiesOf.libraryPredicate,
      size: { rows: scale.rows, timeLimit: scale.effort.timeLimit, tenants: counts, cells, ...explained },
    };
  } finally {
    await application.close();
    await policiesOf.close();
    await server.sql(`DROP DATABASE ${database}`);
  }
}

async function tenantsOf(server: BenchServer, database: string): Promise<Record<TenantSize, Tenant>> {
  const tenants: Partial<Record<TenantSize, Tenant>> = {};
  for (const [size, rank] of Object.entries(TENANT_RANKS)) {
    const [tenant] = await server.sql<Tenant>(tenantSql(rank), database);
    tenants[size as TenantSize] = tenant!;
  }
  return tenants as Record<TenantSize, Tenant>;
}

async function explainAll(
  server: BenchServer,
  database: string,
  application: Application,
  policiesOf: Policies,
  tenants: Record<TenantSize, Tenant>,
): Promise<Pick<TableSize, 'plans' | 'excerpts'>> {
  const small = await server.sql<{ name: string }>(SMALL_TABLES_SQL, database);
  const expected = { smallTables: new Set(small.map(({ name }) => name)) };
  const plans: Plan[] = [];
  const excerpts: TableSize['excerpts'] = [];
  for (const [way, { form }] of Object.entries(application.raw) as [RawWay, Way][]) {
    await policiesOf.take(form);
    for (const [size, tenant] of Object.entries(tenants) as [TenantSize, Tenant][]) {
      for (const query of QUERY_NAMES) {
        const nodes = planNodes(await application.explain(way, query, tenant, 'FORMAT JSON'));
        const plan = { way, query, size, nodes };
        checkPlan(plan, expected);
        plans.push(plan);
      }
    }
    if (way !== 'library' && way !== 'case') continue;
    const rows = (await application.explain(
      way,
      'pageByCreation',
      tenants.small,
      'ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF',
    )) as { 'QUERY PLAN': string }[];
    excerpts.push({ way, lines: rows.map((row) => row['QUERY PLAN']) });
  }
  return { plans, excerpts };
}

async function measureAll(
  application: Application,
  policiesOf: Policies,
  tenants: Record<TenantSize, Tenant>,
  effort: Effort,
  log: BenchContext['log'],
): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (const [size, tenant] of Object.entries(tenants) as [TenantSize, Tenant][]) {
    for (const query of QUERY_NAMES) {
      cells.push({
        query,
        size,
        raw: await measureQuery(application.raw, policiesOf, query, tenant, effort),
        orm: await measureQuery(application.orm, policiesOf, query, tenant, effort),
      });
    }
    log(`measured the ${size} tenant`);
  }
  return cells;
}

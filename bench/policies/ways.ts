import pg from 'pg';
import { DataSource } from 'typeorm';
import { isolateDataSource, tenantContext } from 'nestjs-rls-tenants';
import { APP_ROLE, type BenchServer } from '../support/server.js';
import { Comment, Project, Tag, Task } from './entities.js';
import type { Form } from './forms.js';
import { ORM_QUERIES } from './orm-queries.js';
import { statement, type Arguments, type QueryName } from './queries.sql.js';

/** A tenant that queries are run for. */
export interface Tenant extends Arguments {
  id: string;
  /** Its tasks. */
  tasks: number;
}

/** One way to keep a query to the tenant. */
export interface Way {
  readonly form: Form;
  run(query: QueryName, tenant: Tenant): Promise<unknown>;
}

const RAW_WAYS = {
  explicit: { form: 'none', carried: false, explicit: true },
  explicitCarried: { form: 'none', carried: true, explicit: true },
  library: { form: 'library', carried: true, explicit: false },
  libraryExplicit: { form: 'library', carried: true, explicit: true },
  subselect: { form: 'subselect', carried: true, explicit: false },
  or: { form: 'or', carried: true, explicit: false },
  case: { form: 'case', carried: true, explicit: false },
  prowler: { form: 'prowler', carried: true, explicit: false },
} as const satisfies Record<string, { form: Form; carried: boolean; explicit: boolean }>;

export type RawWay = keyof typeof RAW_WAYS;
export type OrmWay = 'explicit' | 'explicitCarried' | 'library';

/** The application's connections to one database, one for each way to hold them. */
export interface Application {
  readonly raw: Record<RawWay, Way>;
  readonly orm: Record<OrmWay, Way>;
  /** The plan of the raw query, one line a row, or one row of JSON. */
  explain(way: RawWay, query: QueryName, tenant: Tenant, options: string): Promise<unknown[]>;
  close(): Promise<void>;
}

export async function connectApplication(server: BenchServer, database: string): Promise<Application> {
  const url = server.url(APP_ROLE, database);
  const plain = await connect(url);
  const carrying = await isolateDataSource(await connect(url), { tenantIdType: 'uuid', autoScope: false });
  const scoping = await isolateDataSource(await connect(url), { tenantIdType: 'uuid' });
  const plainClient = (await plain.createQueryRunner().connect()) as pg.ClientBase;
  const carryingClient = (await carrying.createQueryRunner().connect()) as pg.ClientBase;

  const query = (way: RawWay, name: QueryName, tenant: Tenant, prefix = '') => {
    const { carried, explicit } = RAW_WAYS[way];
    const { text, values } = statement(name, tenant, explicit ? tenant.id : undefined);
    const send = async (client: pg.ClientBase) =>
      (await client.query(prefix + text, values)).rows as unknown[];
    return carried ? tenantContext(tenant.id, () => send(carryingClient)) : send(plainClient);
  };
  const rawWay = (way: RawWay): Way => ({
    form: RAW_WAYS[way].form,
    run: (name, tenant) => query(way, name, tenant),
  });
  return {
    raw: Object.fromEntries(
      (Object.keys(RAW_WAYS) as RawWay[]).map((way) => [way, rawWay(way)]),
    ) as Application['raw'],
    orm: {
      explicit: { form: 'none', run: (name, tenant) => ORM_QUERIES[name](plain, tenant, tenant.id) },
      explicitCarried: {
        form: 'none',
        run: (name, tenant) => tenantContext(tenant.id, () => ORM_QUERIES[name](carrying, tenant, tenant.id)),
      },
      library: {
        form: 'library',
        run: (name, tenant) => tenantContext(tenant.id, () => ORM_QUERIES[name](scoping, tenant)),
      },
    },
    explain: (way, name, tenant, options) => query(way, name, tenant, `EXPLAIN (${options}) `),
    async close() {
      for (const dataSource of [plain, carrying, scoping]) await dataSource.destroy();
    },
  };
}

function connect(url: string): Promise<DataSource> {
  // One connection for raw SQL, which is not given back, and one for the ORM.
  return new DataSource({
    type: 'postgres',
    url,
    entities: [Project, Tag, Task, Comment],
    poolSize: 2,
  }).initialize();
}

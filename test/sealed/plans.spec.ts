import type { DataSource, EntityManager } from 'typeorm';
import { tenantContext, tenantSetContext } from '../../libs/rls-tenants/src/context/index.js';
import {
  existsJoinTablePredicate,
  protectTableSql,
  protectSql,
  joinTablePolicyName,
  tenantPolicies,
  createPolicySql,
  dropPolicySql,
  type TenantTable,
} from '../../libs/rls-tenants/src/policies/index.js';
import { conditionsOf, type PlanNode } from '../auto-scope/support/plans.js';
import { SERVER_VERSION } from '../support/database.js';
import { tenant } from '../support/notes.js';
import { createSealedDatabase, type SealedDatabase } from '../support/sealed-database.js';

// 300 tenants with 200 tasks each, and one with 20,000; each task has two comments and a label.

const SMALL = tenant(2);
const LARGE = tenant(301);
const TABLES = ['task', 'comment', 'label', 'account'] as const;

let db: SealedDatabase;
let dataSource: DataSource;

beforeAll(async () => {
  db = await createSealedDatabase([]);
  const { app, admin } = db.roles;
  await db.as(
    'migrator',
    `CREATE TABLE task (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, created integer NOT NULL, body text NOT NULL);
     CREATE TABLE comment (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, task_id bigint NOT NULL);
     CREATE TABLE label (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, name text NOT NULL);
     CREATE TABLE account (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, name text NOT NULL);
     CREATE TABLE task_label (task_id bigint NOT NULL, label_id bigint NOT NULL, PRIMARY KEY (task_id, label_id));
     INSERT INTO task SELECT row_number() OVER (), ('00000000-0000-4000-8000-' || lpad(t::text, 12, '0'))::uuid, n, repeat('x', 60)
       FROM generate_series(1, 301) AS t, generate_series(1, CASE t WHEN 301 THEN 20000 ELSE 200 END) AS n;
     INSERT INTO comment SELECT 2 * id + n, tenant_id, id FROM task, generate_series(0, 1) AS n;
     INSERT INTO label SELECT row_number() OVER (), tenant_id, n::text
       FROM (SELECT DISTINCT tenant_id FROM task) AS tenants, generate_series(1, 10) AS n;
     INSERT INTO account SELECT id, tenant_id, body FROM task;
     INSERT INTO task_label SELECT task.id, min(label.id) FROM task JOIN label USING (tenant_id) GROUP BY task.id;
     CREATE INDEX ON task (tenant_id, created);
     CREATE INDEX ON task (tenant_id, id);
     CREATE INDEX ON comment (tenant_id, task_id);
     CREATE INDEX ON label (tenant_id, id);
     CREATE INDEX ON account (tenant_id, id);
     CREATE INDEX ON task_label (label_id);
     GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${app}, ${admin}`,
  );
  for (const table of TABLES)
    for (const sql of protectTableSql(of(table, true))) await db.as('migrator', sql);
  const predicate = existsJoinTablePredicate({ ...JOIN_TABLE, sealed: true });
  for (const sql of protectSql('task_label', joinTablePolicyName('task_label'), predicate, admin))
    await db.as('migrator', sql);
  await db.asSuperuser('VACUUM ANALYZE');
  dataSource = await db.isolated({}, { poolSize: 1 });
});
afterAll(() => db.drop());

const JOIN_TABLE = {
  joinTable: 'task_label',
  tenantIdType: 'uuid',
  sides: [
    { table: 'task', columns: [{ column: 'task_id', referencedColumn: 'id' }] },
    { table: 'label', columns: [{ column: 'label_id', referencedColumn: 'id' }] },
  ],
} as const;

function of(table: string, sealed: boolean): TenantTable {
  return {
    table,
    tenantIdType: 'uuid',
    adminRole: db.roles.admin,
    readableBySet: table === 'account',
    sealed,
  };
}

interface Node extends PlanNode {
  'Parent Relationship'?: string;
  'Index Name'?: string;
  'One-Time Filter'?: string;
  'Workers Launched'?: number;
  'Actual Rows'?: number;
  Plans?: Node[];
}

/** The nodes of a plan, without those that look up or verify the tenant once. */
function nodesOf(plan: Node): Node[] {
  return [
    ...(plan['One-Time Filter'] === undefined ? [plan] : []),
    ...(plan.Plans ?? []).filter((child) => child['Parent Relationship'] !== 'InitPlan').flatMap(nodesOf),
  ];
}

/** What is checked once, before the node below it runs. */
function gatesOf(plan: Node): string[] {
  const { 'One-Time Filter': gate, Plans = [] } = plan;
  return [...(gate === undefined ? [] : [gate]), ...Plans.flatMap(gatesOf)];
}

function initPlansOf(plan: Node): Node[] {
  return (plan.Plans ?? []).flatMap((child) => [
    ...(child['Parent Relationship'] === 'InitPlan' ? [child] : []),
    ...initPlansOf(child),
  ]);
}

type Explained = { 'QUERY PLAN': { Plan: Node }[] }[];

async function explain(
  sql: string,
  tenantId = SMALL,
  runner: DataSource | EntityManager = dataSource,
): Promise<Node> {
  const [row] = await tenantContext(tenantId, () => runner.query<Explained>(`EXPLAIN (FORMAT JSON) ${sql}`));
  return row!['QUERY PLAN'][0]!.Plan;
}

/** What of a plan must be the same: the nodes, the indexes and what is looked for in them. */
function shapeOf(plan: Node): string[] {
  return nodesOf(plan).map((node) =>
    [node['Node Type'], node['Relation Name'], node['Index Name'], node['Index Cond']]
      .filter(Boolean)
      .join(' '),
  );
}

const QUERIES: Record<string, string> = {
  'a point': 'SELECT * FROM task WHERE id = 4711',
  'a page by the index': 'SELECT * FROM task ORDER BY created DESC LIMIT 20',
  'a page by the key': 'SELECT * FROM task ORDER BY id LIMIT 20',
  'a count': 'SELECT count(*) FROM task',
  'a join of two pages': `SELECT * FROM (SELECT * FROM task ORDER BY created LIMIT 20) AS page
                            JOIN comment ON comment.tenant_id = page.tenant_id AND comment.task_id = page.id`,
  'an update of one row': 'UPDATE task SET created = created WHERE id = 4711',
};

describe('a sealed policy is planned like a plain one', () => {
  const plans: Record<string, Record<'plain' | 'sealed', Node>> = {};
  beforeAll(async () => {
    for (const name of Object.keys(QUERIES)) plans[name] = {} as (typeof plans)[string];
    for (const form of ['plain', 'sealed'] as const) {
      for (const table of TABLES) {
        const policies = tenantPolicies(of(table, form === 'sealed'));
        for (const { name, predicate, command } of policies)
          await db.as(
            'migrator',
            `${dropPolicySql(table, name)}; ${createPolicySql(table, name, predicate, undefined, command)}`,
          );
      }
      for (const [name, sql] of Object.entries(QUERIES)) plans[name]![form] = await explain(sql);
    }
  });

  it.each(Object.keys(QUERIES))(
    '%s: the same scans, indexes and conditions, and the seal verified twice a table, first before any row',
    (name) => {
      const { plain, sealed } = plans[name]!;
      expect(shapeOf(sealed)).toEqual(shapeOf(plain));
      expect(shapeOf(sealed).join()).toMatch(/Index/);
      const scanned = nodesOf(sealed).filter(
        (node) => node['Relation Name'] && node['Node Type'] !== 'ModifyTable',
      );
      const filters = scanned.map((node) => node.Filter ?? '');
      expect(filters).toEqual(
        scanned.map(() => expect.stringMatching(/uuid_eq\(tenant_id, (?:\(InitPlan \d+\)\.col1|\$\d+)\)/)),
      );
      expect(gatesOf(sealed)).toEqual(
        scanned.map(() => expect.stringMatching(/(?:\(InitPlan \d+\)\.col1|\$\d+) = .*current_setting/)),
      );
      expect([...initPlansOf(plain), ...gatesOf(plain)]).toEqual([]);
      // An UPDATE has a WITH CHECK beside USING.
      const checks = sql(name).startsWith('UPDATE') ? 2 : 0;
      expect(initPlansOf(sealed)).toHaveLength(2 * scanned.length + checks);
    },
  );
  const sql = (name: string) => QUERIES[name]!;

  it('rows are estimated for the very tenant', async () => {
    const rowsOf = async (tenantId: string) => (await explain('SELECT * FROM task', tenantId))['Plan Rows'];
    const [small, large] = [await rowsOf(SMALL), await rowsOf(LARGE)];
    expect(large / small).toBeGreaterThan(30); // there are a hundred times as many
  });

  it('a join table without tenant column looks its sides up by the verified tenant', async () => {
    const plan = await explain('SELECT * FROM task_label WHERE label_id = 15');
    const sides = nodesOf(plan).filter((node) => ['task', 'label'].includes(node['Relation Name'] ?? ''));
    expect(sides.map((node) => node['Relation Name']).sort((a, b) => a!.localeCompare(b!))).toEqual([
      'label',
      'task',
    ]);
    for (const side of sides)
      expect(conditionsOf(side)).toMatch(/tenant_id = (?:\(InitPlan \d+\)\.col1|\$\d+)/);
    expect(shapeOf(plan).join()).toMatch(/Index/);
    expect(shapeOf(plan).join()).not.toMatch(/Seq Scan/);
  });

  it('a table that sets read is looked up by the verified list', async () => {
    const page = 'EXPLAIN (FORMAT JSON) SELECT * FROM account ORDER BY tenant_id, id LIMIT 20';
    const [row] = await tenantSetContext(SMALL, [SMALL, tenant(3)], () => dataSource.query<Explained>(page));
    const plan = row!['QUERY PLAN'][0]!.Plan;
    const [scan] = nodesOf(plan).filter((node) => node['Relation Name'] === 'account');
    expect(scan).toMatchObject({
      'Index Cond': expect.stringMatching(/tenant_id = ANY \((?:\(InitPlan \d+\)\.col1|\$\d+)\)/),
    });
    // And once more by a call that costs less than any condition of the statement: attack O13.
    expect(scan!.Filter).toMatch(
      /^\(array_position\((?:\(InitPlan \d+\)\.col1|\$\d+), tenant_id\) IS NOT NULL\)$/,
    );
    expect(shapeOf(plan).join()).not.toMatch(/Sort|Seq Scan/);
  });
});

// A parallel worker is a backend of its own, and a seal may be bound to the leader's.
describe('in parallel workers', () => {
  const PARALLEL = SERVER_VERSION >= 160000 ? 'debug_parallel_query' : 'force_parallel_mode';
  let bound: DataSource;
  beforeAll(async () => {
    bound = await db.isolated({ seal: { keys: [db.key], backend: 'bound' } }, { poolSize: 1 });
  });

  const inTransaction = <T>(settings: string[], work: (manager: EntityManager) => Promise<T>) =>
    tenantContext(LARGE, () =>
      bound.transaction(async (manager) => {
        for (const setting of settings) await manager.query(`SET LOCAL ${setting}`);
        return work(manager);
      }),
    );
  const analyzed = async (manager: EntityManager, query: string) => {
    const [row] = await manager.query<Explained>(`EXPLAIN (ANALYZE, FORMAT JSON) ${query}`);
    return nodesOf(row!['QUERY PLAN'][0]!.Plan);
  };

  const EAGER = [
    'parallel_setup_cost = 0',
    'parallel_tuple_cost = 0',
    'min_parallel_table_scan_size = 0',
    'enable_indexscan = off',
    'enable_indexonlyscan = off',
    'enable_bitmapscan = off',
  ];

  it('a scan that several share sees all rows of the tenant, and no others', async () => {
    const query = 'SELECT count(*)::int AS rows, count(DISTINCT tenant_id)::int AS tenants FROM task';
    const [nodes, [found]] = await inTransaction(EAGER, async (manager) => [
      await analyzed(manager, 'SELECT count(*) FROM task'),
      await manager.query<{ rows: number; tenants: number }[]>(query),
    ]);
    const gather = nodes.find((node) => node['Node Type'].startsWith('Gather'));
    expect(gather?.['Workers Launched']).toBeGreaterThan(0);
    expect(found).toEqual({ rows: 20_000, tenants: 1 });
  });

  it('the verifying function itself runs in the leader, whatever is planned', async () => {
    await inTransaction([...EAGER, `${PARALLEL} = on`], async (manager) => {
      const query = 'SELECT rls.current_tenant() AS tenant, rls.readable_tenants() AS readable';
      expect(await manager.query(query)).toEqual([{ tenant: LARGE, readable: LARGE }]);
      for (const statement of [
        'SELECT count(*)::int AS n FROM label WHERE rls.current_tenant() IS NOT NULL',
        'SELECT count(*)::int AS n FROM label WHERE EXISTS (SELECT FROM task WHERE tenant_id = label.tenant_id)',
        // Its policy asks within sub-selects that are run for each row.
        `SELECT least(count(*), 10)::int AS n FROM task_label`,
      ])
        expect([statement, await manager.query(statement)]).toEqual([statement, [{ n: 10 }]]);
    });
  });

  it('control: a function that a worker may run does not see whose worker it is', async () => {
    await db.as(
      'migrator',
      `CREATE FUNCTION backend() RETURNS int LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER AS
         'SELECT coalesce((SELECT leader_pid FROM pg_stat_get_activity(pg_backend_pid())), pg_backend_pid())'`,
    );
    await inTransaction([`${PARALLEL} = on`], async (manager) => {
      const query =
        'SELECT backend() AS worker, (SELECT pid FROM (SELECT pg_backend_pid() AS pid) AS _) AS leader';
      const [restricted] = await manager.query<{ worker: number; leader: number }[]>(query);
      expect(restricted!.worker).toBe(restricted!.leader);
      const [row] = await manager.query<{ worker: number }[]>('SELECT backend() AS worker');
      expect(row!.worker).not.toBe(restricted!.leader);
    });
  });
});

import type { DataSource } from 'typeorm';
import { tenantContext, tenantSetContext } from '../../libs/rls-tenants/src/index.js';
import { conditionsOf, type PlanNode } from '../auto-scope/support/plans.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { tenant } from '../support/notes.js';
import { ORGANISATIONS, SHARED } from './support/organisations.js';

// Tenant 1 has 14 accounts, 2 to 300 have 40 each, and 301 has 20,000; each account has two invoices.
const SMALL = tenant(1);
const MIDDLE = tenant(2);
const LARGE = tenant(301);

describe('plans of a set of tenants', () => {
  let db: ProtectedDatabase;
  let ds: DataSource;
  beforeAll(async () => {
    db = await createProtectedDatabase(ORGANISATIONS);
    ds = await db.isolated();
    await db.as(
      'migrator',
      `CREATE INDEX account_page ON account (tenant_id, id); CREATE INDEX invoice_account ON invoice (tenant_id, "accountId");
       CREATE INDEX template_page ON template (tenant_id, id)`,
    );
    await db.asSuperuser(
      `INSERT INTO account (tenant_id, name)
         SELECT ('00000000-0000-4000-8000-' || lpad(t::text, 12, '0'))::uuid, 'account ' || n
         FROM generate_series(1, 301) AS t, generate_series(1, CASE t WHEN 1 THEN 14 WHEN 301 THEN 20000 ELSE 40 END) AS n;
       INSERT INTO invoice (tenant_id, amount, "accountId")
         SELECT tenant_id, n, id FROM account, generate_series(1, 2) AS n;
       INSERT INTO template (tenant_id, title)
         SELECT ('00000000-0000-4000-8000-' || lpad(t::text, 12, '0'))::uuid, 'template ' || n
         FROM generate_series(1, 300) AS t, generate_series(1, 40) AS n;
       INSERT INTO template (tenant_id, title) SELECT '${SHARED}', 'shared ' || n FROM generate_series(1, 10) AS n`,
    );
    await db.asSuperuser('ANALYZE');
  });
  afterAll(() => db.drop());

  const plan = async (sql: string): Promise<PlanNode[]> => {
    const [row] = await ds.query<{ 'QUERY PLAN': { Plan: PlanNode }[] }[]>(`EXPLAIN (FORMAT JSON) ${sql}`);
    const nodesOf = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)];
    return nodesOf(row!['QUERY PLAN'][0]!.Plan);
  };
  const ofSet = (set: string[], sql: string) => tenantSetContext(set[0]!, set, () => plan(sql));
  /** The scans of a table, those of its indexes below a bitmap scan included. */
  const indexConditions = (nodes: PlanNode[]) =>
    nodes.map((node) => node['Index Cond'] ?? '').filter(Boolean);
  const scansOf = (nodes: PlanNode[]) => nodes.map((node) => node['Node Type']);

  const page = 'SELECT * FROM account ORDER BY tenant_id, id LIMIT 20';
  const join =
    'SELECT * FROM account JOIN invoice ON invoice.tenant_id = account.tenant_id AND invoice."accountId" = account.id';

  it('a page reads the index by the set', async () => {
    const nodes = await ofSet([SMALL, MIDDLE], page);
    expect(indexConditions(nodes)).toEqual([expect.stringMatching(/tenant_id = ANY \(.*readable_tenants/)]);
    expect(scansOf(nodes)).not.toContain('Seq Scan');
    const [scan] = nodes.filter((node) => node['Relation Name'] === 'account');
    expect(scan!.Filter).toBeUndefined();
  });

  it('a join reads both indexes by the set', async () => {
    const nodes = await ofSet([SMALL, MIDDLE], join);
    expect(scansOf(nodes)).not.toContain('Seq Scan');
    const conditions = indexConditions(nodes).filter((condition) => condition.includes('= ANY'));
    expect(conditions.length).toBeGreaterThanOrEqual(1);
    const tables = nodes.flatMap((node) => node['Relation Name'] ?? []);
    expect(tables.sort()).toEqual(['account', 'invoice']);
    for (const node of nodes.filter((one) => one['Relation Name'] !== undefined))
      expect(conditionsOf(node)).toContain('tenant_id');
  });

  it('the estimates are those of the tenants in the set', async () => {
    const rows = async (set: string[]) => {
      const nodes = await ofSet(set, 'SELECT * FROM account');
      return nodes[0]!['Plan Rows'];
    };
    expect(await rows([SMALL])).toBeLessThan(100);
    expect(await rows([SMALL, MIDDLE])).toBeLessThan(200);
    const withLarge = await rows([SMALL, LARGE]);
    expect(withLarge).toBeGreaterThan(15_000);
    expect(withLarge).toBeLessThan(25_000);
    const nodes = await tenantContext(LARGE, () => plan('SELECT * FROM account'));
    expect(nodes[0]!['Plan Rows']).toBeGreaterThan(15_000);
  });

  it('a tenant of its own reads the index as well', async () => {
    const nodes = await tenantContext(SMALL, () => plan(page));
    expect(indexConditions(nodes)).toEqual([expect.stringContaining('tenant_id = ANY')]);
    expect(scansOf(nodes)).not.toContain('Seq Scan');
  });

  it('an update reads the index by the home tenant', async () => {
    const nodes = await ofSet([SMALL, MIDDLE], "UPDATE account SET name = 'x'");
    expect(scansOf(nodes)).not.toContain('Seq Scan');
    expect(indexConditions(nodes).join()).toContain('current_tenant');
  });

  it('shared rows: a page reads the index by the tenant and the owner of shared rows', async () => {
    const nodes = await tenantContext(SMALL, () =>
      plan('SELECT * FROM template ORDER BY tenant_id, id LIMIT 20'),
    );
    expect(indexConditions(nodes)).toEqual([expect.stringContaining(SHARED)]);
    expect(scansOf(nodes)).not.toContain('Seq Scan');
  });
});

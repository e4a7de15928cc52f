import { setTimeout as sleep } from 'node:timers/promises';
import { createTestDatabase, type TestDatabase } from './support/database.js';
import {
  alterPolicySql,
  createAdminPolicySql,
  createPolicySql,
  currentTenantSql,
  enableRlsSql,
  grantSql,
  objectName,
  protectTableSql,
  quoteIdentifier,
  quoteLiteral,
  quoteTable,
  TABLE_PRIVILEGES,
  tenantPolicyName,
  tenantPredicateSql,
  unprotectTableSql,
  type TenantTable,
} from '../libs/rls-tenants/src/policies/index.js';
import type { TenantIdType } from '../libs/rls-tenants/src/context/tenant-id.js';

const A = '00000000-0000-4000-8000-00000000000a';
const B = '00000000-0000-4000-8000-00000000000b';

const setTenant = (tenantId: string, setting = 'rls.current_tenant') =>
  `SELECT set_config(${quoteLiteral(setting)}, ${quoteLiteral(tenantId)}, true); `;

let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());

/** Protects a table and grants the app role and the admin role their privileges. */
async function protect(table: Omit<TenantTable, 'adminRole'>): Promise<void> {
  const statements = [
    ...protectTableSql({ ...table, adminRole: db.roles.admin }),
    ...[db.roles.app, db.roles.admin].map((role) =>
      grantSql({ role, table: table.table, privileges: TABLE_PRIVILEGES }),
    ),
  ];
  await db.as('migrator', statements.join(';\n'));
}

describe('the tenant policy', () => {
  beforeAll(async () => {
    await db.as('migrator', 'CREATE TABLE note (id int PRIMARY KEY, tenant_id uuid NOT NULL, body text)');
    await protect({ table: 'note', tenantIdType: 'uuid' });
    await db.asSuperuser(`INSERT INTO note VALUES (1, '${A}', 'a'), (2, '${B}', 'b')`);
  });

  it('shows the app role the rows of the current tenant and no others', async () => {
    const control = await db.asSuperuser('SELECT * FROM note');
    expect(control).toHaveLength(2);
    expect(await db.as('app', `${setTenant(A)} SELECT id FROM note`)).toEqual([{ id: 1 }]);
  });

  it('shows nothing without a tenant', async () => {
    expect(await db.as('app', 'SELECT * FROM note')).toEqual([]);
    expect(await db.as('app', `${setTenant('')} SELECT * FROM note`)).toEqual([]);
  });

  it('fails on a tenant id that is not of the type', async () => {
    await expect(db.as('app', `${setTenant('17')} SELECT * FROM note`)).rejects.toMatchObject({
      code: '22P02',
    });
  });

  it.each([
    ['insert a row for', `INSERT INTO note VALUES (3, '${B}', 'x')`],
    ['move a row to', `UPDATE note SET tenant_id = '${B}' WHERE id = 1`],
    ['upsert a row of', `INSERT INTO note VALUES (2, '${B}', 'x') ON CONFLICT (id) DO UPDATE SET body = 'x'`],
  ])('refuses to %s another tenant', async (_what, sql) => {
    await expect(db.as('app', setTenant(A) + sql)).rejects.toMatchObject({ code: '42501' });
  });

  it('updates and deletes none of another tenant', async () => {
    const updated = await db.as('app', `BEGIN; ${setTenant(A)} UPDATE note SET body = 'x' RETURNING id`);
    const deleted = await db.as('app', `BEGIN; ${setTenant(A)} DELETE FROM note RETURNING id`);
    expect([updated, deleted]).toEqual([[{ id: 1 }], [{ id: 1 }]]);
  });

  it('holds for the owner of the table that does not inherit the admin role', async () => {
    await db.asSuperuser(
      `CREATE ROLE ${db.roles.app}_owner; GRANT CREATE ON SCHEMA public TO ${db.roles.app}_owner`,
    );
    try {
      const rows = await db.asSuperuser(
        `CREATE TABLE owned (tenant_id uuid); INSERT INTO owned VALUES ('${A}');
         ${protectTableSql({ table: 'owned', tenantIdType: 'uuid', adminRole: db.roles.admin }).join(';')};
         ALTER TABLE owned OWNER TO ${db.roles.app}_owner; SET ROLE ${db.roles.app}_owner; SELECT * FROM owned`,
      );
      expect(rows).toEqual([]);
    } finally {
      await db.asSuperuser(`DROP OWNED BY ${db.roles.app}_owner; DROP ROLE ${db.roles.app}_owner`);
    }
  });
});

describe('the admin policy', () => {
  beforeAll(async () => {
    await db.as('migrator', 'CREATE TABLE memo (id int PRIMARY KEY, tenant_id uuid NOT NULL)');
    await protect({ table: 'memo', tenantIdType: 'uuid' });
    await db.asSuperuser(`INSERT INTO memo VALUES (1, '${A}'), (2, '${B}')`);
  });

  it('shows all rows to the app role that became the admin role, and only then', async () => {
    expect(await db.as('app', 'SELECT * FROM memo')).toEqual([]);
    expect(await db.as('app', `SET LOCAL ROLE ${db.roles.admin}; SELECT * FROM memo`)).toHaveLength(2);
  });

  it('shows all rows to a role that inherits the admin role, without any SET ROLE', async () => {
    expect(await db.as('migrator', 'SELECT * FROM memo')).toHaveLength(2);
    const [app] = await db.asSuperuser<{ inherits: boolean; member: boolean }>(
      `SELECT pg_has_role($1, $2, 'USAGE') AS inherits, pg_has_role($1, $2, 'MEMBER') AS member`,
      [db.roles.app, db.roles.admin],
    );
    expect(app).toEqual({ inherits: false, member: true });
  });

  it('is not opened by any setting', async () => {
    const settings = ['rls.is_admin', 'rls.bypass', 'rls.role']
      .map((name) => setTenant('true', name))
      .join('');
    expect(await db.as('app', `${settings} SELECT * FROM memo`)).toEqual([]);
  });

  it('would be everybody’s if the admin role were called public, so that name is refused', async () => {
    await db.asSuperuser('CREATE TABLE open_to_all (tenant_id uuid)');
    await db.asSuperuser('CREATE POLICY everybody ON open_to_all TO "public" USING (true)');
    const [policy] = await db.asSuperuser(
      `SELECT roles::text FROM pg_policies WHERE tablename = 'open_to_all'`,
    );
    expect(policy).toEqual({ roles: '{public}' });
    expect(() => createAdminPolicySql('open_to_all', 'public')).toThrow('Invalid role name "public"');
  });
});

describe('the current tenant', () => {
  it("a custom setting reads '' after its first use, so the policy needs NULLIF", async () => {
    const [after] = await db.as(
      'app',
      `BEGIN; ${setTenant(A)} COMMIT; SELECT current_setting('rls.current_tenant', true) AS value,
       ${currentTenantSql('uuid')} AS tenant`,
    );
    expect(after).toEqual({ value: '', tenant: null });
    const [before] = await db.as('app', `SELECT current_setting('rls.current_tenant', true) AS value`);
    expect(before).toEqual({ value: null });
    const withoutNullif = `BEGIN; ${setTenant(A)} COMMIT; SELECT current_setting('rls.current_tenant', true)::uuid`;
    await expect(db.as('app', withoutNullif)).rejects.toMatchObject({ code: '22P02' });
  });

  it.each<[TenantIdType, string, string]>([
    ['uuid', A, B],
    ['integer', '1', '-2147483648'],
    ['bigint', '9223372036854775807', '2'],
    ['text', 'acme\'s \\ "co" ; --', 'Ünïcode 株式会社'],
  ])('isolates tenants of type %s, by policy and by column default', async (type, one, two) => {
    const table = `typed_${type}`;
    await db.as(
      'migrator',
      `CREATE TABLE ${table} (id int PRIMARY KEY, tenant_id ${type} NOT NULL DEFAULT ${currentTenantSql(type)})`,
    );
    await protect({ table, tenantIdType: type });
    await db.as('app', `${setTenant(one)} INSERT INTO ${table} (id) VALUES (1)`);
    await db.as('app', `${setTenant(two)} INSERT INTO ${table} (id) VALUES (2)`);

    const control = await db.asSuperuser(`SELECT id, tenant_id::text FROM ${table} ORDER BY id`);
    expect(control).toEqual([
      { id: 1, tenant_id: one },
      { id: 2, tenant_id: two },
    ]);
    expect(await db.as('app', `${setTenant(one)} SELECT id FROM ${table}`)).toEqual([{ id: 1 }]);
    expect(await db.as('app', `${setTenant(two)} SELECT id FROM ${table}`)).toEqual([{ id: 2 }]);
    await expect(db.as('app', `INSERT INTO ${table} (id) VALUES (3)`)).rejects.toMatchObject({
      code: expect.stringMatching(/^(42501|23502)$/),
    });
  });
});

describe('the plan of a query under the policy', () => {
  interface Plan {
    'Node Type': string;
    'Index Name'?: string;
    'Index Cond'?: string;
    'Plan Rows': number;
    'One-Time Filter'?: string;
    Filter?: string;
    Plans?: Plan[];
  }

  const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];
  const explain = async (sql: string): Promise<Plan[]> => {
    const [row] = await db.as<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
      'app',
      `${setTenant('7')} EXPLAIN (FORMAT JSON) ${sql}`,
    );
    return nodes(row!['QUERY PLAN'][0].Plan);
  };
  const page = 'SELECT * FROM big ORDER BY id LIMIT 50';

  beforeAll(async () => {
    await db.as(
      'migrator',
      `CREATE TABLE big (id int PRIMARY KEY, tenant_id integer NOT NULL, body text);
       INSERT INTO big SELECT n, n % 50, 'some text' FROM generate_series(1, 50000) n;
       CREATE INDEX big_tenant ON big (tenant_id, id); ANALYZE big`,
    );
    await protect({ table: 'big', tenantIdType: 'integer' });
  });

  const usePredicate = (predicate: string) =>
    db.as('migrator', alterPolicySql('big', tenantPolicyName('big'), predicate));

  it('bare equality is an index condition', async () => {
    await usePredicate(tenantPredicateSql('tenant_id', currentTenantSql('integer')));
    const plan = await explain(page);
    const scan = plan.find((node) => node['Index Name'] === 'big_tenant');
    expect(scan?.['Index Cond']).toMatch(/tenant_id = .*current_setting/);
    expect(plan.some((node) => node.Filter?.includes('current_setting'))).toBe(false);
  });

  it('with the tenant in the statement beside it the policy is checked once, not for each row', async () => {
    await usePredicate(tenantPredicateSql('tenant_id', currentTenantSql('integer')));
    const plan = await explain(`SELECT count(*) FROM big WHERE tenant_id = 7 AND body <> 'x'`);
    expect(plan.some((node) => node['One-Time Filter']?.includes('current_setting'))).toBe(true);
    expect(plan.some((node) => node.Filter?.includes('current_setting'))).toBe(false);
    expect(plan.some((node) => node['Index Cond']?.includes('current_setting'))).toBe(false);
  });

  it.each([
    [
      'OR',
      `tenant_id = (SELECT ${currentTenantSql('integer')}) OR current_setting('rls.is_admin', true) = 'true'`,
    ],
    [
      'CASE',
      `CASE WHEN current_setting('rls.is_admin', true) = 'true' THEN true
       ELSE tenant_id = (SELECT ${currentTenantSql('integer')}) END`,
    ],
  ])('an admin bypass by %s is no index condition', async (_form, predicate) => {
    await usePredicate(predicate);
    const plan = await explain(page);
    expect(plan.some((node) => node['Index Cond']?.includes('tenant_id'))).toBe(false);
    expect(plan.some((node) => node.Filter?.includes('tenant_id'))).toBe(true);
  });

  it('the planner knows the rows of the tenant it plans for, and behind a sub-select takes it for an average one', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE skewed (id int PRIMARY KEY, tenant_id integer NOT NULL);
       INSERT INTO skewed SELECT n, CASE WHEN n <= 5000 THEN 7 ELSE n % 100 + 100 END FROM generate_series(1, 10000) n;
       ANALYZE skewed`,
    );
    await protect({ table: 'skewed', tenantIdType: 'integer' });
    const [known] = await explain('SELECT * FROM skewed');
    expect(known!['Plan Rows']).toBeGreaterThan(4_000);
    const hidden = `tenant_id = (SELECT ${currentTenantSql('integer')})`;
    await db.as('migrator', alterPolicySql('skewed', tenantPolicyName('skewed'), hidden));
    const [average] = await explain('SELECT * FROM skewed');
    expect(average!['Plan Rows']).toBeLessThan(200);
  });
});

describe('changing a policy', () => {
  const protectedBy = (setting: string): TenantTable => ({
    table: 'changing',
    tenantIdType: 'uuid',
    tenantSetting: setting,
  });

  it('never shows a row too many while it happens', async () => {
    await db.as('migrator', 'CREATE TABLE changing (id int PRIMARY KEY, tenant_id uuid NOT NULL)');
    await protect(protectedBy('rls.one'));
    await db.asSuperuser(`INSERT INTO changing VALUES (1, '${A}'), (2, '${B}')`);

    const changes = { done: false };
    const change = (async () => {
      for (let round = 0; round < 25; round++) {
        for (const setting of ['rls.two', 'rls.one']) {
          const predicate = tenantPredicateSql('tenant_id', currentTenantSql('uuid', setting));
          await db.as('migrator', alterPolicySql('changing', tenantPolicyName('changing'), predicate));
        }
        await sleep(1);
      }
      changes.done = true;
    })();
    const seen: unknown[][] = [];
    while (!changes.done) {
      seen.push(
        await db.as('app', `${setTenant(A, 'rls.one')}${setTenant(A, 'rls.two')} SELECT id FROM changing`),
      );
    }
    await change;
    expect(seen.length).toBeGreaterThan(10);
    expect(new Set(seen.map((rows) => JSON.stringify(rows)))).toEqual(new Set(['[{"id":1}]']));
  });

  it('cannot be done by dropping it first in a transaction of its own: then nothing is visible, not everything', async () => {
    await db.as('migrator', `DROP POLICY ${tenantPolicyName('changing')} ON changing`);
    expect(await db.as('app', `${setTenant(A, 'rls.one')} SELECT id FROM changing`)).toEqual([]);
  });
});

describe('identifiers', () => {
  const NAMES: [string, string, string][] = [
    ['a space', 'my note', 'tenant of it'],
    ['mixed case and reserved words', 'Order', 'User'],
    ['quotes', 'no"te', `ten'ant"`],
    ['SQL', '"; DROP TABLE note; --', 'x) OR true --'],
    ['63 bytes', 'n'.repeat(63), 't'.repeat(63)],
    ['63 bytes of two-byte letters and one more', `${'é'.repeat(31)}e`, 'ü'.repeat(31)],
    ['dollar quotes and backslashes', 'a$rls$b\\', '\\$1'],
  ];

  it.each(NAMES)('with %s are protected and unprotected', async (_what, name, tenantColumn) => {
    const table = `odd schema.${name}`;
    await db.as('migrator', 'CREATE SCHEMA IF NOT EXISTS "odd schema"');
    await db.as('migrator', `GRANT USAGE ON SCHEMA "odd schema" TO ${db.roles.app}`);
    await db.as(
      'migrator',
      `CREATE TABLE ${quoteTable(table)} (id int, ${quoteIdentifier(tenantColumn)} uuid NOT NULL)`,
    );
    await protect({ table, tenantColumn, tenantIdType: 'uuid' });
    await db.asSuperuser(`INSERT INTO ${quoteTable(table)} VALUES (1, '${A}'), (2, '${B}')`);

    expect(await db.as('app', `${setTenant(A)} SELECT id FROM ${quoteTable(table)}`)).toEqual([{ id: 1 }]);
    const policies = await db.asSuperuser<{ policyname: string }>(
      'SELECT policyname::text FROM pg_policies WHERE schemaname = $1 AND tablename = $2 ORDER BY 1',
      ['odd schema', name],
    );
    expect(policies.map((policy) => policy.policyname)).toEqual(
      [objectName(name, 'admin_policy'), objectName(name, 'tenant_isolation_policy')].sort(),
    );

    await db.as('migrator', unprotectTableSql({ table }).join(';'));
    expect(await db.as('app', `SELECT id FROM ${quoteTable(table)}`)).toHaveLength(2);
  });

  it('a table without any policy shows the app role nothing once row-level security is on', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE bare (id int); INSERT INTO bare VALUES (1); GRANT SELECT ON bare TO ${db.roles.app}`,
    );
    expect(await db.as('app', 'SELECT * FROM bare')).toHaveLength(1);
    await db.as('migrator', enableRlsSql('bare').join(';'));
    expect(await db.as('app', 'SELECT * FROM bare')).toEqual([]);
  });

  it('a policy for one role is not for another', async () => {
    await db.as('migrator', createPolicySql('bare', 'for_admin', 'true', db.roles.admin));
    expect(await db.as('app', 'SELECT * FROM bare')).toEqual([]);
  });
});

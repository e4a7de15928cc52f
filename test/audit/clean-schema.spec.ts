import { DataSource } from 'typeorm';
import {
  auditDatabase,
  auditTables,
  isFailure,
  type AuditReport,
} from '../../libs/rls-tenants/src/audit/index.js';
import { createRolesDatabase, type RolesDatabase } from '../roles/roles-support.js';
import { SERVER_VERSION } from '../support/database.js';
import { A, B, withQuery } from './audit-support.js';
import { cleanSchema, FILLED, rowsOf, tenantTables, VIEWS } from './clean-schema-support.js';

describe('a clean schema of 60 tables', () => {
  let db: RolesDatabase;
  let viewRole: string | undefined;

  beforeAll(async () => {
    db = await createRolesDatabase();
    await db.setup();
    const migrator = await dataSourceOf(db.names.migrationRole);
    const runner = migrator.createQueryRunner();
    for (const migration of cleanSchema(db.names, SERVER_VERSION >= 150000)) await migration.up(runner);
    await runner.release();
    await migrator.destroy();
    for (const tenantId of [A, B]) {
      await db.asSuperuser(
        [
          `INSERT INTO workspace VALUES ('${tenantId}', 'w')`,
          ...FILLED.map((table) => rowsOf(tenantId, table)),
        ].join(';'),
      );
    }
    await db.asSuperuser('ANALYZE');
    if (SERVER_VERSION < 150000) viewRole = await ownViewsByRoleUnderPolicies();
  });
  afterAll(async () => {
    if (viewRole !== undefined)
      await db.asSuperuser(`DROP OWNED BY ${viewRole} CASCADE; DROP ROLE ${viewRole}`);
    await db.drop();
  });

  const urlOf = (role: string) => {
    const url = new URL(db.url());
    url.username = role;
    return url.toString();
  };
  const dataSourceOf = (role: string) => new DataSource({ type: 'postgres', url: urlOf(role) }).initialize();

  /** Before PostgreSQL 15 a view reads as its owner, so that must be a role whom the policies hold. */
  const ownViewsByRoleUnderPolicies = async () => {
    const role = `views_${db.names.appRole}`;
    await db.asSuperuser(
      `CREATE ROLE ${role} NOLOGIN; GRANT USAGE, CREATE ON SCHEMA public TO ${role};
       GRANT SELECT ON task, customer, sales_order, event TO ${role};
       ${VIEWS.map((view) => `ALTER VIEW ${view} OWNER TO ${role}`).join('; ')};
       REVOKE CREATE ON SCHEMA public FROM ${role}`,
    );
    return role;
  };

  const audit = (): Promise<AuditReport> =>
    withQuery(urlOf(db.names.appRole), (query) =>
      auditTables(query, tenantTables(db.names), { adminRole: db.names.adminRole }),
    );

  it('has 60 tables, partitions among them, and views that the app role reads', async () => {
    const [row] = await db.asSuperuser(
      `SELECT count(*) FILTER (WHERE relkind IN ('r', 'p'))::int AS tables, count(*) FILTER (WHERE relkind = 'v')::int AS views,
              count(*) FILTER (WHERE relispartition AND relkind = 'r')::int AS partitions
         FROM pg_class WHERE relnamespace = 'public'::regnamespace`,
    );
    expect(row).toEqual({ tables: 60, views: VIEWS.length, partitions: 8 });
  });

  it('shows a tenant its own rows only, in each table and view, where a superuser sees both tenants’', async () => {
    const counts = [...FILLED, ...VIEWS]
      .map(
        (name) =>
          `SELECT '${name}' AS name, count(*)::int AS rows, min(tenant_id::text) AS tenant FROM "${name}"`,
      )
      .join(' UNION ALL ');
    const seen = await db.runAs<{ rows: number; tenant: string }>(
      db.names.appRole,
      `SET rls.current_tenant = '${A}'; ${counts}`,
    );
    expect(seen.filter(({ rows, tenant }) => rows !== 1 || tenant !== A)).toEqual([]);
    // Without security_invoker a view is held by its owner's policies for a superuser, too.
    const all = await db.asSuperuser<{ name: string; rows: number }>(counts);
    expect(all.filter(({ name, rows }) => rows !== 2 && FILLED.includes(name))).toEqual([]);
    expect(await db.runAs(db.names.appRole, `SELECT sum(rows)::int AS rows FROM (${counts}) AS t`)).toEqual([
      { rows: 0 },
    ]);
  });

  it('has no finding of severity error or critical, of all rules that can run', async () => {
    const { findings, skipped } = await audit();
    expect(findings.filter(isFailure)).toEqual([]);
    // Off unless asked for, or without anything to judge.
    expect(skipped.map(({ id }) => id)).toEqual(['RLS076', 'RLS083', 'RLS086', 'RLS087']);
  });

  it('has none either where no entity is known', async () => {
    const dataSource = await dataSourceOf(db.names.appRole);
    const { findings } = await auditDatabase(dataSource, { adminRole: db.names.adminRole });
    await dataSource.destroy();
    expect(findings.filter(isFailure)).toEqual([]);
  });

  it('warns of nothing, and informs of little', async () => {
    const { findings } = await audit();
    // A function that runs as its owner is worth a look.
    expect(findings).toMatchObject([
      { ruleId: 'RLS022', severity: 'info', object: 'function "public.plan_count()"' },
    ]);
  });

  it('a hole in one of the 60 is found, and nothing else', async () => {
    await db.runAs(db.names.migrationRole, 'ALTER TABLE refund DISABLE ROW LEVEL SECURITY');
    const { findings } = await audit();
    expect(findings.filter(isFailure)).toMatchObject([{ ruleId: 'RLS004', object: 'table "public.refund"' }]);
    await db.runAs(db.names.migrationRole, 'ALTER TABLE refund ENABLE ROW LEVEL SECURITY');
  });
});

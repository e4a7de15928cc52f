import { DataSource } from 'typeorm';
import { auditDatabase, auditTables, isFailure } from '../../libs/rls-tenants/src/audit/index.js';
import type { TenantScopedTable } from '../../libs/rls-tenants/src/entities/tenant-tables.js';
import {
  installSeal,
  protectTable,
  RlsMigration,
  runSql,
  sealJoinTable,
  sealKeys,
  sealTable,
  type RlsOperation,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { A, B, declared, withQuery } from '../audit/audit-support.js';
import { cleanSchema, FILLED, rowsOf, tenantTables } from '../audit/clean-schema-support.js';
import { createRolesDatabase, type RolesDatabase } from '../roles/roles-support.js';
import { SERVER_VERSION } from '../support/database.js';
import { newSealKey } from '../support/sealed-database.js';

// The clean schema of test/audit, moved to sealed policies by the library's own operations.

const PARTITIONS = [2024, 2025, 2026, 2027]
  .map((year) => `event_${year}`)
  .concat([0, 1, 2, 3].map((remainder) => `reading_${remainder}`));
const TEMPLATE = '00000000-0000-4000-8000-0000000000ff';

class Steps extends RlsMigration {
  constructor(readonly operations: readonly RlsOperation[]) {
    super();
  }
}

describe('check-rls on a sealed schema', () => {
  let db: RolesDatabase;
  let tables: TenantScopedTable[];

  beforeAll(async () => {
    db = await createRolesDatabase();
    await db.setup();
    tables = [
      ...tenantTables(db.names),
      declared('folder', { entityName: 'Folder', adminRole: db.names.adminRole, readableBySet: true }),
      declared('template', { entityName: 'Template', adminRole: db.names.adminRole, sharedTenant: TEMPLATE }),
    ];
    const more = ['folder', 'template'].flatMap((table) => [
      runSql(
        `CREATE TABLE ${table} (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id uuid NOT NULL, name text NOT NULL, UNIQUE (tenant_id, id))`,
        `DROP TABLE ${table}`,
      ),
      protectTable({ ...tables.find((one) => one.table === table)!, ...db.names }),
    ]);
    await migrate(...cleanSchema(db.names, SERVER_VERSION >= 150000), new Steps(more));
    for (const tenantId of [A, B])
      await db.asSuperuser(
        [
          `INSERT INTO workspace VALUES ('${tenantId}', 'w')`,
          ...FILLED.map((table) => rowsOf(tenantId, table)),
        ].join(';'),
      );
    await db.asSuperuser('ANALYZE');
  });
  afterAll(() => db.drop());

  const urlOf = (role: string) => {
    const url = new URL(db.url());
    url.username = role;
    return url.toString();
  };
  const dataSourceOf = (role: string) => new DataSource({ type: 'postgres', url: urlOf(role) }).initialize();
  const migrate = async (...migrations: RlsMigration[]) => {
    const migrator = await dataSourceOf(db.names.migrationRole);
    const runner = migrator.createQueryRunner();
    for (const migration of migrations) await migration.up(runner);
    await runner.release();
    await migrator.destroy();
  };
  const audit = () =>
    withQuery(urlOf(db.names.appRole), (query) =>
      auditTables(query, tables, { adminRole: db.names.adminRole }),
    );
  const found = async (severities = ['critical', 'error', 'warning']) =>
    (await audit()).findings
      .filter(({ severity }) => severities.includes(severity))
      .map(({ ruleId, severity, object }) => `${ruleId} ${severity} ${object}`);
  // Before PostgreSQL 15 the views of the clean schema read as their owner, which RLS020 says.
  const since15 = SERVER_VERSION >= 150000 ? it : it.skip;

  const seal = (table: TenantScopedTable) => {
    const { table: name, tenantIdType, tenantColumn, readableBySet, sharedTenant, sides } = table;
    const own = {
      tenantIdType,
      ...(readableBySet && { readableBySet }),
      ...(sharedTenant !== undefined && { sharedTenant }),
    };
    if (table.kind === 'entity') return sealTable({ ...own, table: name, tenantColumn });
    return sides
      ? sealJoinTable({ form: 'exists', joinTable: name, tenantIdType, sides })
      : sealJoinTable({ ...own, joinTable: name, tenantColumn });
  };

  since15('control: the plain schema is clean', async () => {
    expect(await found()).toEqual([]);
  });

  since15(
    'an installed seal is no finding; each plain policy is a warning, and the membership that must go',
    async () => {
      await migrate(
        new Steps([
          installSeal({ appRole: db.names.appRole, adminRole: db.names.adminRole }),
          sealKeys({ keys: () => [newSealKey('first')] }),
        ]),
      );
      const findings = await found();
      expect(findings.filter((one) => !one.startsWith('RLS064'))).toEqual([
        `RLS063 warning role "${db.names.appRole}"`,
      ]);
      // Four policies each for those who read more than they write, but none of those for what everybody writes alone.
      expect(findings.length).toBeGreaterThan(tables.length + PARTITIONS.length);
    },
  );

  since15('half-way it names the tables that are left, and demands that the membership goes', async () => {
    await migrate(new Steps(tables.slice(0, 10).map(seal)));
    const findings = await found();
    expect(findings.filter((one) => !one.startsWith('RLS064'))).toEqual([
      `RLS063 critical role "${db.names.appRole}"`,
    ]);
    for (const { table } of tables.slice(0, 10))
      expect(findings.join('\n')).not.toContain(`"public.${table}"`);
    await db.asSuperuser(`REVOKE ${db.names.adminRole} FROM ${db.names.appRole}`);
  });

  since15(
    'sealed as a whole it is clean: columns, join tables through their sides, sets, shared rows, partitions',
    async () => {
      await migrate(
        new Steps([
          ...tables.slice(10).map(seal),
          ...PARTITIONS.map((table) => sealTable({ table, tenantIdType: 'uuid' })),
        ]),
      );
      expect(await found()).toEqual([]);
      const [note] = await db.asSuperuser<{ using: string }>(
        `SELECT pg_get_expr(polqual, polrelid) AS using FROM pg_policy WHERE polrelid = 'team'::regclass AND polroles = '{0}'`,
      );
      expect(note!.using).toContain('rls.current_tenant()');
    },
  );

  since15('so it is where no entities are known', async () => {
    const app = await dataSourceOf(db.names.appRole);
    const report = await auditDatabase(app, { adminRole: db.names.adminRole });
    await app.destroy();
    // Nobody says whose rows are everybody's: as in the plain form, the literal is found.
    expect(report.findings.filter(isFailure).map(({ ruleId, object }) => `${ruleId} ${object}`)).toEqual([
      'RLS057 policy "template_tenant_isolation_policy" on table "public.template"',
    ]);
    expect(report.counts.recognised).toBeGreaterThan(40);
  });

  since15('a table that lost its seal is found again', async () => {
    await db.runAs(
      db.names.migrationRole,
      `ALTER POLICY team_tenant_isolation_policy ON team USING (tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid)`,
    );
    expect(await found()).toContain(
      'RLS080 error policy "team_tenant_isolation_policy" on table "public.team"',
    );
  });

  it('takes as many statements whatever there is', async () => {
    const count = async (some: readonly TenantScopedTable[]) => {
      let statements = 0;
      await withQuery(urlOf(db.names.appRole), (query) =>
        auditTables(
          (sql, parameters) => {
            statements++;
            return query(sql, parameters);
          },
          some,
          { adminRole: db.names.adminRole },
        ),
      );
      return statements;
    };
    expect(await count(tables.slice(0, 2))).toBe(await count(tables));
  });
});

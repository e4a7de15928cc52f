import type { DataSource } from 'typeorm';
import {
  auditTables,
  examineDataSource,
  verifyIsolation,
  type Finding,
} from '../../libs/rls-tenants/src/audit/index.js';
import { tenantContext, tenantSetContext } from '../../libs/rls-tenants/src/index.js';
import { tenantTablesOf, type TenantScopedTable } from '../../libs/rls-tenants/src/entities/index.js';
import { probeIsolation } from '../../libs/rls-tenants/src/audit/probe/index.js';
import { withQuery } from '../audit/audit-support.js';
import { probe, probeFindings, probeLeaks } from '../audit/probe-support.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import { createOrganisations, FAMILY, NORTH, PARENT, seenIn, STRANGER } from './support/organisations.js';

/** Rules about keys, indexes, sequences and what no entity declares: nothing of what a tenant reads. */
const OTHER_RULES = new Set(['RLS041', 'RLS046', 'RLS072', 'RLS082', 'RLS085']);

describe('the audit of tables whose tenants read more than their own rows', () => {
  let db: ProtectedDatabase;
  let dataSource: DataSource;
  let tables: TenantScopedTable[];
  beforeAll(async () => {
    db = await createOrganisations();
    dataSource = await db.plain();
    tables = tenantTablesOf(dataSource);
  });
  afterAll(() => db.drop());

  const audit = async (declared = tables): Promise<readonly Finding[]> => {
    const report = await withQuery(db.url('app'), (query) =>
      auditTables(query, declared, { adminRole: db.roles.admin }),
    );
    return report.findings.filter(({ ruleId }) => !OTHER_RULES.has(ruleId));
  };
  const summary = (findings: readonly Finding[]) =>
    findings.map(({ ruleId, object }) => `${ruleId} ${object.replaceAll('"', '')}`).sort();
  /** Finds something wrong once, applies the fixes of the drift, and finds nothing. */
  const mended = async () => {
    for (const { fix } of (await audit()).filter(({ ruleId }) => ruleId === 'RLS080'))
      await db.as('migrator', fix);
    expect(await audit()).toEqual([]);
  };

  it('finds nothing, at start neither', async () => {
    expect(await audit()).toEqual([]);
    expect(await verifyIsolation(dataSource, { adminRole: db.roles.admin })).toEqual([]);
  });

  it('knows the list of tenants where no entity declares the table; a literal is a finding there', async () => {
    const document = tables.filter(({ table }) => table === 'document');
    const findings = await audit(document);
    expect(summary(findings).filter((line) => /account|invoice|label/.test(line))).toEqual([]);
    const ids = new Set(
      findings.filter(({ object }) => /template|tariff/.test(object)).map(({ ruleId }) => ruleId),
    );
    expect(ids).toContain('RLS057');
  });

  it.each(['insert', 'update', 'delete'])(
    'a missing policy for %s is drift, and its fix makes it',
    async (command) => {
      await db.as('migrator', `DROP POLICY account_tenant_${command}_policy ON account`);
      const findings = summary(await audit());
      expect(findings).toContain(`RLS080 policy account_tenant_${command}_policy on table public.account`);
      await mended();
    },
  );

  it('a policy that writes what may only be read is drift, and critical', async () => {
    const readable = `tenant_id = ANY ((string_to_array(NULLIF(current_setting('rls.current_tenant', true), '')
      || COALESCE(current_setting('rls.readable_tenants', true), ''), ','))::uuid[])`;
    await db.as(
      'migrator',
      `ALTER POLICY account_tenant_update_policy ON account USING (${readable}) WITH CHECK (${readable})`,
    );
    const wide = await db.isolated();
    const [, changed] = await tenantSetContext(PARENT, FAMILY, () =>
      wide.query<[unknown, number]>('UPDATE account SET name = name'),
    );
    expect(changed).toBe(3); // the control: this is what the finding is about
    const findings = await audit();
    expect(summary(findings)).toContain('RLS080 policy account_tenant_update_policy on table public.account');
    expect(findings.map(({ ruleId }) => ruleId)).toContain('RLS050');
    await mended();
  });

  it('one policy for all commands is drift where the table is readable by sets', async () => {
    await db.as(
      'migrator',
      `DROP POLICY account_tenant_isolation_policy ON account;
       CREATE POLICY account_tenant_isolation_policy ON account USING (tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid)`,
    );
    expect(summary(await audit())).toEqual([
      'RLS075 table public.account',
      'RLS080 policy account_tenant_isolation_policy on table public.account',
    ]);
    await mended();
  });

  it('a policy that reads by set is drift where no entity says so', async () => {
    const declared = tables.map(({ readableBySet: _set, ...table }) => table);
    const findings = summary(await audit(declared));
    expect(findings).toContain('RLS080 policy account_tenant_isolation_policy on table public.account');
    expect(findings).toContain('RLS050 policy account_tenant_isolation_policy on table public.account');
    expect(findings.join()).not.toContain('document');
  });

  it('another owner of shared rows is drift', async () => {
    const declared = tables.map((table) =>
      table.table === 'template' ? { ...table, sharedTenant: NORTH } : table,
    );
    expect(summary(await audit(declared))).toContain(
      'RLS080 policy template_tenant_isolation_policy on table public.template',
    );
  });

  it('a policy beside them is judged as on every table', async () => {
    await db.as('migrator', 'CREATE POLICY wide ON account FOR SELECT USING (true)');
    const wide = await db.isolated();
    expect(await tenantContext(STRANGER, () => seenIn(wide, 'account'))).toHaveLength(4);
    const findings = summary(await audit());
    expect(findings).toContain('RLS009 policy wide on table public.account');
    expect(findings).toContain('RLS007 policy wide on table public.account');
    await db.as('migrator', 'DROP POLICY wide ON account');
    expect(await audit()).toEqual([]);
  });

  it('the probe reads, and writes, nothing that it should not, as far as entities say what that is', async () => {
    const examination = await examineDataSource(dataSource, { adminRole: db.roles.admin });
    const report = await probeIsolation(dataSource, examination, { mode: 'write' });
    expect(probeFindings(report).filter((line) => !line.includes('sequence'))).toEqual([]);
    // The control: where no entity says that rows are shared, they are a leak.
    const unknown = await probe(db, { mode: 'write' });
    expect(probeLeaks(unknown).join()).toMatch(/template/);
  });

  it('a stored default for the set is a finding', async () => {
    await db.asSuperuser(`ALTER ROLE ${db.roles.app} SET rls.readable_tenants = ',${NORTH}'`);
    const findings = await audit();
    expect(findings.map(({ ruleId, object }) => `${ruleId} ${object}`)).toContain(
      'RLS011 setting "rls.readable_tenants"',
    );
    await db.asSuperuser(`ALTER ROLE ${db.roles.app} RESET rls.readable_tenants`);
    expect(await audit()).toEqual([]);
  });
});

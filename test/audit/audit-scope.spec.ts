import { DataSource } from 'typeorm';
import {
  auditDatabase,
  auditTables,
  AUDIT_RULES,
  isFailure,
  type AuditOptions,
} from '../../libs/rls-tenants/src/audit/index.js';
import { RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import {
  B,
  createNoteDatabase,
  declared,
  NOTE_COLUMNS,
  withQuery,
  type NoteDatabase,
} from './audit-support.js';

describe('auditDatabase', () => {
  let db: NoteDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    db = await createNoteDatabase();
    dataSource = await new DataSource({ type: 'postgres', url: db.url('app') }).initialize();
  });
  afterAll(async () => {
    await dataSource.destroy();
    await db.drop();
  });

  const audit = (options: AuditOptions = {}) =>
    auditDatabase(dataSource, { adminRole: db.roles.admin, ...options });
  const expectRefused = async (options: AuditOptions, message: RegExp) => {
    const promise = audit(options);
    await expect(promise).rejects.toThrow(RlsConfigurationError);
    await expect(promise).rejects.toThrow(message);
  };

  it('recognises tenant tables without any entity, and has nothing against a protected one', async () => {
    const report = await audit();
    expect(report.findings.filter(isFailure)).toEqual([]);
    expect(report.tables).toMatchObject([{ kind: 'recognised', table: 'public.note', exists: true }]);
    expect(report.counts).toEqual({ tables: 0, joinTables: 0, recognised: 1 });
  });

  it('says of every rule whether it ran: what only entities can tell is skipped, not passed', async () => {
    const { rules, skipped } = await audit();
    expect([...rules, ...skipped].map(({ id }) => id).sort()).toEqual(AUDIT_RULES.map(({ id }) => id));
    expect(skipped).toEqual(
      expect.arrayContaining([
        { id: 'RLS080', title: 'policy-drift', severity: 'error', tier: 5, reason: expect.any(String) },
        expect.objectContaining({ id: 'RLS082', reason: 'No entities were given to compare with.' }),
      ]),
    );
    expect(rules).toEqual(expect.arrayContaining([expect.objectContaining({ id: 'RLS004', tier: 0 })]));
  });

  it('finds a bare table with a tenant column, which shows the app role every tenant’s rows', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE bare (${NOTE_COLUMNS}); INSERT INTO bare VALUES (1, '${B}', 'b'); GRANT SELECT ON bare TO ${db.roles.app}`,
    );
    expect(await db.asTenantA('SELECT body FROM bare')).toEqual([{ body: 'b' }]);
    const found = expect.objectContaining({ ruleId: 'RLS004', object: 'table "public.bare"' });
    expect((await audit()).findings).toContainEqual(found);
    // Beside entities that do not declare it, too; but a start looks at the declared tables only.
    expect(await db.findingsOf('RLS004', [declared('note')])).toContainEqual(found);
    expect(await db.findings([declared('note')])).toEqual([]);
    await db.as('migrator', 'DROP TABLE bare');
  });

  it('recognises a table by a policy that reads the tenant setting, by another column, or because it is listed', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE by_policy (org uuid);
       CREATE POLICY p ON by_policy USING (org = current_setting('rls.current_tenant', true)::uuid);
       CREATE TABLE by_column (customer bigint); CREATE TABLE plain (id int)`,
    );
    const tables = async (options: AuditOptions) => (await audit(options)).tables.map(({ table }) => table);
    expect(await tables({})).toEqual(['public.by_policy', 'public.note']);
    expect(await tables({ tenantColumn: 'customer' })).toEqual([
      'public.by_column',
      'public.by_policy',
      'public.note',
    ]);
    expect(await tables({ tenantTables: ['plain'] })).toContain('public.plain');
    await expectRefused({ tenantTables: ['nowhere'] }, /no table "nowhere"/);
    await db.as('migrator', 'DROP TABLE by_policy, by_column, plain');
  });

  it('recognises a table by a policy that asks a function for the tenant, and others by the column it compares', async () => {
    await db.as(
      'migrator',
      `CREATE FUNCTION claims() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('rls.current_tenant', true) $$;
       CREATE FUNCTION tenant() RETURNS uuid LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN NULLIF(claims(), ''); END $$;
       CREATE TABLE organization (id uuid PRIMARY KEY); CREATE TABLE plain (id uuid);
       CREATE POLICY p ON organization USING (id = (SELECT tenant()));
       CREATE TABLE by_helper (organization_id uuid); CREATE TABLE by_same_column (organization_id uuid);
       CREATE POLICY p ON by_helper USING (organization_id = (SELECT tenant()))`,
    );
    expect((await audit()).tables.map(({ table }) => table)).toEqual([
      'public.by_helper',
      'public.by_same_column',
      'public.note',
      'public.organization',
    ]);
    await db.as(
      'migrator',
      'DROP TABLE organization, plain, by_helper, by_same_column; DROP FUNCTION tenant(), claims()',
    );
  });

  it('a bare child of a parent that is no tenant table is recognised', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE template (id int); CREATE TABLE child (tenant_id uuid NOT NULL) INHERITS (template);
       CREATE TABLE grandchild () INHERITS (child);
       INSERT INTO child VALUES (1, '${B}'); GRANT SELECT ON child TO ${db.roles.app}`,
    );
    expect(await db.asTenantA('SELECT id FROM child')).toEqual([{ id: 1 }]);
    const { tables, findings } = await audit({ rules: ['RLS004'] });
    expect(tables.map(({ table, partitions }) => [table, partitions])).toEqual([
      ['public.child', ['public.grandchild']],
      ['public.note', []],
    ]);
    expect(findings).toMatchObject([{ severity: 'critical', object: 'table "public.child"' }]);
    await db.as('migrator', 'DROP TABLE template CASCADE');
  });

  it('audits tables whatever their names hold, and the fixes name them', async () => {
    const names = ['"v1.note"', '"my note"', '"Note"', '"a""b.c"', '"""note"""'];
    await db.as(
      'migrator',
      `CREATE SCHEMA "odd.schema"; GRANT USAGE ON SCHEMA "odd.schema" TO ${db.roles.app};
       ${names
         .flatMap((name) => [`public.${name}`, `"odd.schema".${name}`])
         .map(
           (name) =>
             `CREATE TABLE ${name} (tenant_id uuid, "x.y" text UNIQUE); GRANT SELECT ON ${name} TO ${db.roles.app};`,
         )
         .join('\n')}`,
    );
    const rules = ['RLS004', 'RLS041', 'RLS043', 'RLS053'];
    const failures = async () => (await audit({ rules })).findings.filter(isFailure);
    const findings = await failures();
    expect(findings.map(({ ruleId }) => ruleId)).toEqual(
      ['RLS004', 'RLS041', 'RLS043'].flatMap((id) => Array<string>(10).fill(id)),
    );
    expect(findings).toContainEqual(expect.objectContaining({ object: 'table "public."v1.note""' }));
    for (const { fix } of findings) await db.as('migrator', fix);
    for (const { fix } of (await audit({ rules: ['RLS053'] })).findings) await db.as('migrator', fix);
    expect(await failures()).toEqual([]);
    expect(await db.asTenantA('SELECT * FROM public."v1.note"')).toEqual([]);
    await db.as('migrator', `DROP SCHEMA "odd.schema" CASCADE; DROP TABLE ${names.join(', ')}`);
  });

  it('looks at the schemas it is told to, and refuses one that does not exist', async () => {
    await db.as('migrator', `CREATE SCHEMA other; CREATE TABLE other.t (tenant_id uuid)`);
    expect((await audit({ schemas: ['other'] })).tables).toMatchObject([{ table: 'other.t' }]);
    await expectRefused({ schemas: ['public', 'nowhere'] }, /Schema "nowhere" does not exist/);
    await db.as('migrator', 'DROP SCHEMA other CASCADE');
  });

  it('runs the rules asked for, and refuses one that does not exist', async () => {
    const { rules, skipped } = await audit({ rules: ['RLS004', 'RLS005'], excludeRules: ['RLS005'] });
    expect(rules.map(({ id }) => id)).toEqual(['RLS004']);
    expect(skipped).toContainEqual(expect.objectContaining({ id: 'RLS005', reason: 'It was excluded.' }));
    expect(skipped).toContainEqual(
      expect.objectContaining({ id: 'RLS001', reason: 'Other rules were asked for.' }),
    );
    await expectRefused({ rules: ['RLS999'] }, /no rule "RLS999"/);
  });

  it('nothing that looks like a tenant table is an error, not a clean result', async () => {
    await db.as('migrator', 'CREATE SCHEMA empty');
    await expectRefused({ schemas: ['empty'] }, /nothing to check: no table in the schemas empty/);
  });

  it('no rights to read the catalog is an error, not a clean result', async () => {
    await db.asSuperuser('REVOKE SELECT ON pg_catalog.pg_policy FROM PUBLIC');
    await expectRefused({}, /no rights to check: permission denied for (table|relation) pg_policy/);
    await db.asSuperuser('GRANT SELECT ON pg_catalog.pg_policy TO PUBLIC');
    expect((await audit()).tables).toHaveLength(1);
  });
});

describe('the time an audit takes', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  /** Tables with three policies and an index each, protected as the library does it. */
  const addTables = (from: number, to: number) =>
    db.as(
      'migrator',
      `DO $$ BEGIN FOR n IN ${from}..${to} LOOP EXECUTE format('
         CREATE TABLE t%1$s (id int NOT NULL, tenant_id uuid NOT NULL, parent int, body text, PRIMARY KEY (tenant_id, id));
         ALTER TABLE t%1$s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY t%1$s_tenant_isolation_policy ON t%1$s
           USING (tenant_id = NULLIF(current_setting(''rls.current_tenant'', true), '''')::uuid)
           WITH CHECK (tenant_id = NULLIF(current_setting(''rls.current_tenant'', true), '''')::uuid);
         CREATE POLICY t%1$s_admin_policy ON t%1$s TO ${db.roles.admin} USING (true) WITH CHECK (true);
         CREATE POLICY t%1$s_floor ON t%1$s AS RESTRICTIVE FOR SELECT USING (body <> %2$L);
         GRANT SELECT, INSERT, UPDATE, DELETE ON t%1$s TO ${db.roles.app}', n, 'gone'); END LOOP; END $$`,
    );
  /** All rules, in milliseconds; the better of two. */
  const measured = async (tables: number) => {
    const names = Array.from({ length: tables }, (_, n) => declared(`t${n + 1}`));
    const times: number[] = [];
    await withQuery(db.url('app'), async (query) => {
      for (let round = 0; round < 2; round++) {
        const start = performance.now();
        const report = await auditTables(query, names, { adminRole: db.roles.admin });
        times.push(performance.now() - start);
        expect(report.tables).toHaveLength(tables + 1);
      }
    });
    return Math.min(...times);
  };

  it('grows with the number of tables and no faster: 1,000 tables, 3,000 policies', async () => {
    await addTables(1, 100);
    const hundred = await measured(100);
    await addTables(101, 1_000);
    const thousand = await measured(1_000);
    // Ten times the tables; quadratic growth would show as a hundredfold.
    expect(thousand / hundred).toBeLessThan(25);
  });
});

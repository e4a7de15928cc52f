import { createNoteDatabase, declared, protectSql, A, B, type NoteDatabase } from './audit-support.js';

describe('RLS044 tenant-type-mismatch', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  it('a tenant column of another type is found', async () => {
    const doc = declared('doc');
    await db.as('migrator', `CREATE TABLE doc (id int, tenant_id text NOT NULL)`);
    await db.as('migrator', protectSql({ ...doc, tenantIdType: 'text' }, db.roles.admin));
    await db.as('migrator', `GRANT SELECT ON doc TO ${db.roles.app}`);
    await db.asSuperuser(`INSERT INTO doc VALUES (1, '${A.toUpperCase()}')`);
    // The same tenant in another spelling: hidden from itself.
    expect(await db.asTenantA('SELECT id FROM doc')).toEqual([]);
    const { findings } = await db.audit([doc]);
    expect(findings).toMatchObject([
      { ruleId: 'RLS044', severity: 'error', message: 'The tenant column is text, but tenant ids are uuid.' },
      { ruleId: 'RLS080' },
    ]);

    await db.as('migrator', `DROP POLICY doc_tenant_isolation_policy ON doc; ${findings[0]!.fix}`);
    await db.as('migrator', (await db.audit([doc])).findings[0]!.fix);
    expect(await db.asTenantA('SELECT id FROM doc')).toEqual([{ id: 1 }]);
    expect(await db.findings([doc])).toEqual([]);
  });

  it('a collation that takes two tenants for one shows one the rows of the other, and is found', async () => {
    const doc = declared('loose', { tenantIdType: 'text' });
    await db.as(
      'migrator',
      `CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
       CREATE TABLE loose (id int, tenant_id text COLLATE ignore_case NOT NULL)`,
    );
    await db.as('migrator', `${protectSql(doc, db.roles.admin)} GRANT SELECT ON loose TO ${db.roles.app}`);
    await db.asSuperuser(`INSERT INTO loose VALUES (1, 'acme'), (2, 'ACME')`);
    const seen = () => db.as('app', `SET rls.current_tenant = 'acme'; SELECT id FROM loose ORDER BY id`);
    expect(await seen()).toEqual([{ id: 1 }, { id: 2 }]);
    const { findings } = await db.audit([doc]);
    expect(findings[0]).toMatchObject({ ruleId: 'RLS044', message: expect.stringContaining('collation') });

    await db.as('migrator', `DROP POLICY loose_tenant_isolation_policy ON loose; ${findings[0]!.fix}`);
    await db.as('migrator', (await db.audit([doc])).findings[0]!.fix);
    expect(await seen()).toEqual([{ id: 1 }]);
    expect(await db.findings([doc])).toEqual([]);
  });

  it('a domain counts as the type below it, also where a domain is below it', async () => {
    const doc = declared('of_domain');
    await db.as(
      'migrator',
      `DROP TABLE loose;
       CREATE DOMAIN some_id AS uuid; CREATE DOMAIN tenant_id AS some_id CHECK (VALUE IS NOT NULL);
       CREATE TABLE of_domain (id int, tenant_id tenant_id NOT NULL);
       ${protectSql(doc, db.roles.admin)} GRANT SELECT ON of_domain TO ${db.roles.app}`,
    );
    await db.asSuperuser(`INSERT INTO of_domain VALUES (1, '${A}'), (2, '${B}')`);
    expect(await db.asTenantA('SELECT id FROM of_domain')).toEqual([{ id: 1 }]);
    expect(await db.findingsOf('RLS044', [doc])).toEqual([]);
    expect(await db.findingsOf('RLS044')).toEqual([]);
  });
});

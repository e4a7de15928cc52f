import { A } from './audit-support.js';
import { createPolicyDatabase, TENANT, type PolicyDatabase } from './policy-rules-support.js';

describe('RLS053 deny-all', () => {
  let db: PolicyDatabase;

  beforeAll(async () => {
    db = await createPolicyDatabase();
  });
  afterAll(() => db.drop());

  it('a table whose only policies are the admin’s and restrictive ones hides a tenant’s own rows, and is found', async () => {
    await db.as('migrator', 'DROP POLICY note_tenant_isolation_policy ON note');
    await db.addPolicy(`AS RESTRICTIVE USING (${TENANT})`);
    expect(await db.seenByA()).toEqual([]);
    expect(await db.asSuperuser(`SELECT body FROM note WHERE tenant_id = '${A}'`)).toEqual([{ body: 'a' }]);
    await expect(db.asTenantA(`INSERT INTO note VALUES (3, '${A}', 'a')`)).rejects.toThrow(
      'row-level security',
    );
    const findings = await db.findingsOf('RLS053');
    expect(findings).toMatchObject([{ severity: 'warning', object: 'table "public.note"' }]);
    expect(findings[0]!.message).toContain('only restrictive policies');

    await db.applyFix('RLS053');
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS053')).toEqual([]);
    await db.reset();
  });

  it('a table without any policy is found, unless the app role has no privilege on it', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE ledger (tenant_id uuid NOT NULL); ALTER TABLE ledger ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`,
    );
    await db.asSuperuser(`INSERT INTO ledger VALUES ('${A}')`);
    expect(await db.findingsOf('RLS053')).toEqual([]);

    await db.as('migrator', `GRANT SELECT ON ledger TO ${db.roles.app}`);
    expect(await db.asTenantA('SELECT * FROM ledger')).toEqual([]);
    expect(await db.findingsOf('RLS053')).toMatchObject([{ object: 'table "public.ledger"' }]);
    await db.applyFix('RLS053');
    expect(await db.asTenantA('SELECT * FROM ledger')).toEqual([{ tenant_id: A }]);
    expect(await db.findingsOf('RLS053')).toEqual([]);
  });

  it('a partition without policies of its own denies direct access only, and is no finding', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE event (tenant_id uuid NOT NULL) PARTITION BY LIST (tenant_id);
       CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('${A}');
       ALTER TABLE event ENABLE ROW LEVEL SECURITY; ALTER TABLE event_a ENABLE ROW LEVEL SECURITY;
       CREATE POLICY p ON event USING (${TENANT});
       GRANT SELECT ON event, event_a TO ${db.roles.app}`,
    );
    await db.asSuperuser(`INSERT INTO event VALUES ('${A}')`);
    expect(await db.asTenantA('SELECT * FROM event')).toEqual([{ tenant_id: A }]);
    expect(await db.asTenantA('SELECT * FROM event_a')).toEqual([]);
    expect(await db.findingsOf('RLS053')).toEqual([]);
  });
});

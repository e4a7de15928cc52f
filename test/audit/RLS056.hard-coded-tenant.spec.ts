import { A, B } from './audit-support.js';
import { createPolicyDatabase, NOTE_POLICY, TENANT, type PolicyDatabase } from './policy-rules-support.js';

describe('RLS056 hard-coded-tenant', () => {
  let db: PolicyDatabase;

  beforeAll(async () => {
    db = await createPolicyDatabase();
  });
  afterEach(() => db.reset());
  afterAll(() => db.drop());

  it.each([
    ['one tenant', `tenant_id = '${B}'`],
    ['a tenant for everybody', `${TENANT} OR tenant_id = '${B}'`],
    ['a list of tenants', `tenant_id IN ('${A}', '${B}')`],
    ['a tenant as text', `${TENANT} OR tenant_id::text = '${B}'`],
    ['a CASE', `CASE tenant_id WHEN '${B}' THEN true ELSE ${TENANT} END`],
  ])('%s shows that tenant’s rows to another, and is found', async (_name, using) => {
    await db.alter(using);
    expect(await db.seenByA()).toContain('b');
    expect(await db.findingsOf('RLS056')).toMatchObject([{ severity: 'error', object: NOTE_POLICY }]);

    await db.applyFix('RLS056');
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS056')).toEqual([]);
  });

  it('a literal WITH CHECK writes for that tenant, and is found', async () => {
    await db.addPolicy(`FOR INSERT WITH CHECK (tenant_id = '${B}')`);
    await db.asTenantA(`INSERT INTO note VALUES (3, '${B}', 'by a')`);
    expect(await db.asSuperuser('SELECT tenant_id FROM note WHERE id = 3')).toEqual([{ tenant_id: B }]);
    await db.applyFix('RLS056');
    await expect(db.asTenantA(`INSERT INTO note VALUES (4, '${B}', 'by a')`)).rejects.toThrow(
      'row-level security',
    );
    expect(await db.findingsOf('RLS056')).toEqual([]);
  });

  it.each([
    ['a literal that narrows', `${TENANT} AND tenant_id <> '${B}'`],
    ['a literal in another column', `${TENANT} AND body = 'a'`],
  ])('%s shows nothing of another tenant and is no finding', async (_name, using) => {
    await db.alter(using);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS056')).toEqual([]);
  });

  it('a restrictive policy that names a tenant takes it away, and is no finding', async () => {
    await db.addPolicy(`AS RESTRICTIVE USING (tenant_id = '${A}')`);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS056')).toEqual([]);
  });
});

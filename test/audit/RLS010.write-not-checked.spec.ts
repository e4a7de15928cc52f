import { A, B } from './audit-support.js';
import { createPolicyDatabase, NOTE_POLICY, TENANT, type PolicyDatabase } from './policy-rules-support.js';

describe('RLS010 write-not-checked', () => {
  let db: PolicyDatabase;

  beforeAll(async () => {
    db = await createPolicyDatabase();
  });
  afterEach(() => db.reset());
  afterAll(() => db.drop());

  const insertForB = `INSERT INTO note VALUES (3, '${B}', 'by a')`;
  const ownedByB = async () =>
    (
      await db.asSuperuser<{ body: string }>(`SELECT body FROM note WHERE tenant_id = '${B}' ORDER BY id`)
    ).map(({ body }) => body);

  it.each([
    ['true', 'true'],
    ['a check of another column', `body <> ''`],
    ['a check that there is a tenant', `current_setting('rls.current_tenant', true) <> ''`],
  ])('WITH CHECK of %s writes a row for another tenant, and is found', async (_name, check) => {
    await db.alter(TENANT, check);
    await db.asTenantA(insertForB);
    // With a WHERE it would read the row, and the new row would have to be visible, too.
    await db.asTenantA(`UPDATE note SET tenant_id = '${B}', body = 'moved'`);
    expect(await ownedByB()).toEqual(['moved', 'b', 'by a']);
    expect(await db.findingsOf('RLS010')).toMatchObject([{ severity: 'critical', object: NOTE_POLICY }]);

    await db.applyFix('RLS010');
    await db.asSuperuser(`DELETE FROM note WHERE id = 3; UPDATE note SET tenant_id = '${A}' WHERE id = 1`);
    await expect(db.asTenantA(insertForB)).rejects.toThrow('row-level security');
    await expect(db.asTenantA(`UPDATE note SET tenant_id = '${B}'`)).rejects.toThrow('row-level security');
    expect(await ownedByB()).toEqual(['b']);
    expect(await db.findingsOf('RLS010')).toEqual([]);
  });

  it('a policy FOR INSERT beside the tenant’s is found, with a fix that INSERT takes', async () => {
    await db.addPolicy('FOR INSERT WITH CHECK (true)');
    await db.asTenantA(insertForB);
    expect(await ownedByB()).toEqual(['b', 'by a']);
    expect(await db.findingsOf('RLS010')).toMatchObject([
      { object: 'policy "extra" on table "public.note"' },
    ]);
    await db.applyFix('RLS010');
    await expect(db.asTenantA(insertForB.replace('3', '4'))).rejects.toThrow('row-level security');
    expect(await db.findingsOf('RLS010')).toEqual([]);
  });

  it('a restrictive check of the tenant holds what a permissive one opens, and that is no finding', async () => {
    await db.alter(TENANT, 'true');
    await db.addPolicy(`AS RESTRICTIVE USING (${TENANT})`);
    await expect(db.asTenantA(insertForB)).rejects.toThrow('row-level security');
    expect(await db.findingsOf('RLS010')).toEqual([]);
  });

  // splinter 0024 and pgrls SEC006 say that both allow everything.
  it('a policy without WITH CHECK writes by its USING, one FOR INSERT without it admits nothing: no finding', async () => {
    await db.as('migrator', 'DROP POLICY note_tenant_isolation_policy ON note');
    await db.addPolicy('FOR INSERT');
    await expect(db.asTenantA(`INSERT INTO note VALUES (3, '${A}', 'a')`)).rejects.toThrow(
      'row-level security',
    );
    await expect(db.asTenantA(insertForB)).rejects.toThrow('row-level security');
    expect(await db.findingsOf('RLS010')).toEqual([]);

    await db.as('migrator', `CREATE POLICY note_tenant_isolation_policy ON note USING (${TENANT})`);
    await db.asTenantA(`INSERT INTO note VALUES (3, '${A}', 'a')`);
    await expect(db.asTenantA(insertForB.replace('3', '4'))).rejects.toThrow('row-level security');
    expect(await ownedByB()).toEqual(['b']);
    expect(await db.findingsOf('RLS010')).toEqual([]);
  });

  it('a policy without any expression shows nothing, and is no finding of any rule about what it shows', async () => {
    await db.as('migrator', 'DROP POLICY note_tenant_isolation_policy ON note');
    await db.addPolicy('FOR SELECT');
    expect(await db.seenByA()).toEqual([]);
    expect(await db.findingsOf('RLS007')).toEqual([]);
    await db.as(
      'migrator',
      `CREATE POLICY note_tenant_isolation_policy ON note USING (${TENANT}) WITH CHECK (${TENANT})`,
    );
  });
});

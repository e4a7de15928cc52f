import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

const OWN_TENANT = `tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;

describe('RLS054 command-gap', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as('migrator', 'DROP POLICY note_tenant_isolation_policy ON note');
  });
  afterEach(async () => {
    const policies = await db.asSuperuser<{ name: string }>(
      `SELECT polname AS name FROM pg_policy WHERE polname <> 'note_admin_policy'`,
    );
    for (const { name } of policies) await db.as('migrator', `DROP POLICY ${name} ON note`);
    await db.as('migrator', `GRANT SELECT, INSERT, UPDATE, DELETE ON note TO ${db.roles.app}`);
  });
  afterAll(() => db.drop());

  const found = () => db.findingsOf('RLS054');

  it('a command without a policy does nothing and says so to nobody; revoked, it is refused', async () => {
    await db.as(
      'migrator',
      `CREATE POLICY reads ON note FOR SELECT USING (${OWN_TENANT});
       CREATE POLICY inserts ON note FOR INSERT WITH CHECK (${OWN_TENANT})`,
    );
    expect(await db.seenByA()).toEqual(['a']);
    for (const command of [`UPDATE note SET body = 'changed'`, 'DELETE FROM note'])
      expect(await db.asTenantA(`${command} WHERE id = 1 RETURNING id`)).toEqual([]);
    expect(await db.seenByA()).toEqual(['a']);

    const findings = await found();
    expect(findings).toMatchObject([
      {
        ruleId: 'RLS054',
        severity: 'warning',
        object: 'table "public.note"',
        message: expect.stringContaining('UPDATE and DELETE are granted'),
      },
    ]);
    await db.as('migrator', findings[0]!.fix);
    for (const command of [`UPDATE note SET body = 'changed'`, 'DELETE FROM note'])
      await expect(db.asTenantA(`${command} WHERE id = 1`)).rejects.toThrow('permission denied');
    expect(await found()).toEqual([]);
  });

  it('is content with the other fix, a policy for the command', async () => {
    await db.as(
      'migrator',
      `CREATE POLICY reads ON note FOR SELECT USING (${OWN_TENANT});
       CREATE POLICY writes ON note FOR UPDATE USING (${OWN_TENANT});
       CREATE POLICY deletes ON note FOR DELETE USING (${OWN_TENANT})`,
    );
    expect(await found()).toMatchObject([{ message: expect.stringContaining('INSERT is granted') }]);
    // Insert is the one command that says it.
    await expect(db.asTenantA(`INSERT INTO note SELECT 9, tenant_id, 'x' FROM note`)).rejects.toThrow(
      'row-level security',
    );
    await db.as('migrator', `CREATE POLICY inserts ON note FOR INSERT WITH CHECK (${OWN_TENANT})`);
    await db.asTenantA(`INSERT INTO note SELECT 9, tenant_id, 'x' FROM note; DELETE FROM note WHERE id = 9`);
    expect(await found()).toEqual([]);
  });

  it('a restrictive policy admits nobody', async () => {
    await db.as(
      'migrator',
      `CREATE POLICY reads ON note FOR SELECT USING (${OWN_TENANT});
       CREATE POLICY floor ON note AS RESTRICTIVE USING (${OWN_TENANT});
       REVOKE INSERT, DELETE ON note FROM ${db.roles.app}`,
    );
    expect(await db.asTenantA(`UPDATE note SET body = 'changed' RETURNING id`)).toEqual([]);
    expect(await found()).toMatchObject([{ message: expect.stringContaining('UPDATE is granted') }]);
  });

  it('a policy for INSERT without WITH CHECK, or with NULL, admits nobody; linters that call it open are wrong', async () => {
    for (const check of ['', 'WITH CHECK (NULL)']) {
      await db.as(
        'migrator',
        `CREATE POLICY reads ON note FOR SELECT USING (${OWN_TENANT}); CREATE POLICY inserts ON note FOR INSERT ${check}`,
      );
      await expect(db.asTenantA(`INSERT INTO note SELECT 9, tenant_id, 'x' FROM note`)).rejects.toThrow(
        'row-level security',
      );
      await db.as('migrator', 'DROP POLICY reads ON note; DROP POLICY inserts ON note');
    }
  });

  it('without any policy for the app role there is no gap: that is a table which denies all', async () => {
    expect(await found()).toEqual([]);
  });
});

import { since16 } from '../support/database.js';
import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

const OWN_TENANT = `tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;

describe('RLS052 policy-targets-wrong-role', () => {
  let db: NoteDatabase;
  let other: string;

  beforeAll(async () => {
    db = await createNoteDatabase();
    other = `other_${db.roles.app}`;
    await db.asSuperuser(`CREATE ROLE ${other}`);
  });
  afterEach(async () => {
    await db.as(
      'migrator',
      `DROP POLICY IF EXISTS tenant_floor ON note; DROP POLICY IF EXISTS shared ON note; DROP POLICY IF EXISTS for_other ON note;
       ALTER POLICY note_tenant_isolation_policy ON note TO PUBLIC`,
    );
  });
  afterAll(async () => {
    await db.asSuperuser(`DROP OWNED BY ${other}; DROP ROLE ${other}`);
    await db.drop();
  });

  const found = () => db.findingsOf('RLS052');

  it('a restriction for another role restricts nobody: the app role reads another tenant’s row, and it is found', async () => {
    await db.as(
      'migrator',
      `CREATE POLICY shared ON note FOR SELECT USING (body <> 'private');
       CREATE POLICY tenant_floor ON note AS RESTRICTIVE TO ${other} USING (${OWN_TENANT})`,
    );
    expect(await db.seenByA()).toEqual(['a', 'b']);
    const findings = await found();
    expect(findings).toMatchObject([
      {
        ruleId: 'RLS052',
        severity: 'error',
        object: 'policy "tenant_floor" on table "public.note"',
        message: expect.stringContaining(`for "${other}"`),
      },
    ]);
    await db.as('migrator', findings[0]!.fix);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await found()).toEqual([]);
  });

  it('a policy for another role admits the app role to nothing, and is found', async () => {
    await db.as('migrator', `ALTER POLICY note_tenant_isolation_policy ON note TO ${other}`);
    expect(await db.seenByA()).toEqual([]);
    expect(await db.asSuperuser('SELECT FROM note')).toHaveLength(2);
    const findings = await found();
    expect(findings).toMatchObject([
      { severity: 'error', object: 'policy "note_tenant_isolation_policy" on table "public.note"' },
    ]);
    await db.as('migrator', findings[0]!.fix);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await found()).toEqual([]);
  });

  since16('a policy for a role that the app role inherits holds for it, and counts', async () => {
    await db.as('migrator', `ALTER POLICY note_tenant_isolation_policy ON note TO ${other}`);
    await db.asSuperuser(`GRANT ${other} TO ${db.roles.app} WITH INHERIT FALSE`);
    expect(await db.seenByA()).toEqual([]);
    expect(await found()).toHaveLength(1);
    await db.asSuperuser(`GRANT ${other} TO ${db.roles.app} WITH INHERIT TRUE`);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await found()).toEqual([]);
    await db.asSuperuser(`REVOKE ${other} FROM ${db.roles.app}`);
  });

  it('a policy for roles that no policy holds does nothing, and is a warning', async () => {
    const bypass = `bypass_${db.roles.app}`;
    await db.asSuperuser(
      `CREATE ROLE ${bypass} BYPASSRLS; GRANT SELECT ON note TO ${bypass}; GRANT USAGE ON SCHEMA public TO ${bypass};
       CREATE POLICY for_other ON note TO ${bypass} USING (false)`,
    );
    expect(await db.asSuperuser(`SET ROLE ${bypass}; SELECT FROM note`)).toHaveLength(2);
    const findings = await found();
    expect(findings).toMatchObject([
      { severity: 'warning', object: 'policy "for_other" on table "public.note"' },
    ]);
    await db.as('migrator', findings[0]!.fix);
    expect(await found()).toEqual([]);
    await db.asSuperuser(`DROP OWNED BY ${bypass}; DROP ROLE ${bypass}`);
  });

  it('a policy for the tenants of another login stands beside the app role’s own', async () => {
    await db.as('migrator', `CREATE POLICY for_other ON note FOR SELECT TO ${other} USING (${OWN_TENANT})`);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await found()).toEqual([]);
  });

  it('a role that policies name cannot be dropped, so that none is left for a role that is gone', async () => {
    await db.as('migrator', `CREATE POLICY for_other ON note FOR SELECT TO ${other} USING (${OWN_TENANT})`);
    await expect(db.asSuperuser(`DROP ROLE ${other}`)).rejects.toThrow(
      'cannot be dropped because some objects depend on it',
    );
  });
});

import { createNoteDatabase, B, type NoteDatabase } from './audit-support.js';

const TENANT_POLICY = 'note_tenant_isolation_policy';
const ADMIN_POLICY = 'note_admin_policy';
const TENANT = `tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;

describe('RLS080 policy-drift', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  /** The one finding; applies its fix, after which tenant A sees its row and nothing else is found. */
  const expectFixed = async () => {
    const { findings } = await db.audit();
    expect(findings).toMatchObject([{ ruleId: 'RLS080', severity: 'error' }]);
    await db.as('migrator', findings[0]!.fix);
    expect(await db.findings()).toEqual([]);
    expect(await db.seenByA()).toEqual(['a']);
    return findings[0]!;
  };

  it('a wider USING shows every row, and is found', async () => {
    await db.as('migrator', `ALTER POLICY ${TENANT_POLICY} ON note USING (${TENANT} OR true)`);
    expect(await db.seenByA()).toEqual(['a', 'b']);
    expect((await expectFixed()).message).toContain('OR true');
  });

  it('a wider WITH CHECK writes for another tenant, and is found', async () => {
    await db.as('migrator', `ALTER POLICY ${TENANT_POLICY} ON note WITH CHECK (true)`);
    await db.asTenantA(`INSERT INTO note VALUES (3, '${B}', 'by a')`);
    expect(await db.asSuperuser(`DELETE FROM note WHERE tenant_id = '${B}' AND id = 3 RETURNING id`)).toEqual(
      [{ id: 3 }],
    );
    expect((await expectFixed()).message).toContain('WITH CHECK: it is true');
    await expect(db.asTenantA(`INSERT INTO note VALUES (3, '${B}', 'by a')`)).rejects.toThrow(
      'row-level security',
    );
  });

  it('an admin policy for everybody shows every row, and is found', async () => {
    await db.as('migrator', `ALTER POLICY ${ADMIN_POLICY} ON note TO PUBLIC`);
    expect(await db.seenByA()).toEqual(['a', 'b']);
    expect(await expectFixed()).toMatchObject({
      object: `policy "${ADMIN_POLICY}" on table "public.note"`,
      message: expect.stringContaining('It applies to public'),
    });
  });

  it.each([
    ['a missing tenant policy', `DROP POLICY ${TENANT_POLICY} ON note`, 'It does not exist'],
    ['a missing admin policy', `DROP POLICY ${ADMIN_POLICY} ON note`, 'It does not exist'],
    ['a renamed policy', `ALTER POLICY ${ADMIN_POLICY} ON note RENAME TO other`, 'It does not exist'],
    [
      'an admin policy with a condition',
      `ALTER POLICY ${ADMIN_POLICY} ON note USING (id > 1)`,
      'USING: it is (id > 1)',
    ],
    [
      'a policy for other roles',
      `ALTER POLICY ${TENANT_POLICY} ON note TO CURRENT_USER`,
      'It applies to migrator',
    ],
    [
      'a policy for one command',
      `DROP POLICY ${TENANT_POLICY} ON note; CREATE POLICY ${TENANT_POLICY} ON note FOR SELECT USING (${TENANT})`,
      'It is for SELECT only',
    ],
    [
      'a restrictive policy',
      `DROP POLICY ${TENANT_POLICY} ON note; CREATE POLICY ${TENANT_POLICY} ON note AS RESTRICTIVE USING (${TENANT})`,
      'restrictive',
    ],
    [
      'a NULLIF by another operator, which PostgreSQL does not show',
      `CREATE FUNCTION always(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
       CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = always);
       SET search_path = public, pg_catalog;
       ALTER POLICY ${TENANT_POLICY} ON note USING (${TENANT}) WITH CHECK (${TENANT})`,
      "PostgreSQL's own",
    ],
  ])('%s is found', async (_name, drift, message) => {
    await db.as('migrator', drift);
    expect((await expectFixed()).message).toContain(message);
  });

  it('a policy without WITH CHECK is no drift: PostgreSQL checks writes against USING', async () => {
    await db.as(
      'migrator',
      `DROP POLICY ${TENANT_POLICY} ON note; CREATE POLICY ${TENANT_POLICY} ON note USING (${TENANT})`,
    );
    await expect(db.asTenantA(`INSERT INTO note VALUES (3, '${B}', 'by a')`)).rejects.toThrow(
      'row-level security',
    );
    expect(await db.findings()).toEqual([]);
  });

  it('an admin role that does not exist is named in the fix', async () => {
    const { findings } = await db.audit([db.note], { adminRole: 'no_such_role' });
    expect(findings).toMatchObject([{ ruleId: 'RLS080', fix: expect.stringContaining('setup-roles') }]);
  });
});

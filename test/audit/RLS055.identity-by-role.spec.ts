import { A, B } from './audit-support.js';
import { createPolicyDatabase, TENANT, type PolicyDatabase } from './policy-rules-support.js';

describe('RLS055 identity-by-role', () => {
  let db: PolicyDatabase;

  beforeAll(async () => {
    db = await createPolicyDatabase();
    await db.as('migrator', 'ALTER TABLE note ADD owner text NOT NULL DEFAULT current_user');
  });
  afterEach(async () => {
    await db.asSuperuser('DELETE FROM note WHERE id > 2');
    await db.as('migrator', 'DROP POLICY IF EXISTS extra ON note');
  });
  afterAll(() => db.drop());

  it.each(['owner = current_user', 'session_user = owner', 'owner = (SELECT current_user)'])(
    '%s takes every tenant for the same owner, and is found',
    async (predicate) => {
      await db.addPolicy(`FOR SELECT USING (${predicate})`);
      await db.as(
        'app',
        `SET rls.current_tenant = '${B}'; INSERT INTO note VALUES (3, '${B}', 'written by b')`,
      );
      expect(await db.seenByA()).toEqual(['a', 'written by b']);
      expect(await db.findingsOf('RLS055')).toMatchObject([
        { severity: 'warning', object: 'policy "extra" on table "public.note"' },
      ]);

      await db.applyFix('RLS055');
      expect(await db.seenByA()).toEqual(['a']);
      expect(await db.findingsOf('RLS055')).toEqual([]);
    },
  );

  it('a role that is compared with no column, or that is the admin’s, is no finding', async () => {
    await db.addPolicy(`FOR SELECT USING (${TENANT} AND current_user <> 'nobody')`);
    expect(await db.findingsOf('RLS055')).toEqual([]);
    await db.as('migrator', 'DROP POLICY extra ON note');
    await db.addPolicy(`TO ${db.roles.admin} USING (owner = current_user)`);
    expect(await db.asTenantA(`SELECT id FROM note WHERE tenant_id <> '${A}'`)).toEqual([]);
    expect(await db.findingsOf('RLS055')).toEqual([]);
  });
});

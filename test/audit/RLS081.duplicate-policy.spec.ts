import { createNoteDatabase, A, B, type NoteDatabase } from './audit-support.js';

const TENANT = `tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;

describe('RLS081 duplicate-policy', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterEach(() =>
    db.as('migrator', 'DROP POLICY IF EXISTS a_copy ON note; DROP POLICY IF EXISTS other ON note'),
  );
  afterAll(() => db.drop());

  it('what one fixes in a policy its copy undoes: the copy is found, and the library’s own stays', async () => {
    await db.as('migrator', `CREATE POLICY a_copy ON note USING (${TENANT}) WITH CHECK (${TENANT})`);
    const findings = await db.findingsOf('RLS081');
    expect(findings).toMatchObject([
      {
        severity: 'info',
        object: 'policy "a_copy" on table "public.note"',
        message: 'Policy "note_tenant_isolation_policy" says the same.',
      },
    ]);
    // Somebody narrows the policy, and nothing happens.
    const narrowed = `BEGIN; ALTER POLICY note_tenant_isolation_policy ON note USING (${TENANT} AND id > 100);`;
    const seen = () =>
      db.as(
        'migrator',
        `${narrowed} SET LOCAL ROLE ${db.roles.app}; SET LOCAL rls.current_tenant = '${A}'; SELECT body FROM note`,
      );
    await db.asSuperuser(`GRANT ${db.roles.app} TO ${db.roles.migrator}`);
    expect(await seen()).toEqual([{ body: 'a' }]);

    await db.as('migrator', findings[0]!.fix);
    expect(await seen()).toEqual([]);
    await db.asSuperuser(`REVOKE ${db.roles.app} FROM ${db.roles.migrator}`);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS081')).toEqual([]);
  });

  it.each([
    ['for one command', `FOR SELECT USING (${TENANT})`],
    ['for INSERT, against the other’s WITH CHECK', `FOR INSERT WITH CHECK (${TENANT})`],
    ['without the WITH CHECK that USING stands in for', `FOR UPDATE USING (${TENANT})`],
  ])('a copy %s is found, and without it the same rows are seen and written', async (_name, policy) => {
    await db.as('migrator', `CREATE POLICY a_copy ON note ${policy}`);
    const [finding] = await db.findingsOf('RLS081');
    expect(finding).toMatchObject({
      message: 'Policy "note_tenant_isolation_policy" says the same for ALL.',
    });
    await db.as('migrator', finding!.fix);
    expect(await db.seenByA()).toEqual(['a']);
    await db.asTenantA(`UPDATE note SET body = 'a'`);
    await expect(db.asTenantA(`INSERT INTO note VALUES (9, '${B}', 'x')`)).rejects.toThrow(
      'row-level security',
    );
  });

  it.each([
    ['restrictive', `AS RESTRICTIVE USING (${TENANT})`],
    ['another predicate', `USING (${TENANT} AND id > 0)`],
    ['another WITH CHECK', `USING (${TENANT}) WITH CHECK (${TENANT} AND id > 0)`],
  ])('%s is no copy', async (_name, policy) => {
    await db.as('migrator', `CREATE POLICY other ON note ${policy}`);
    expect(await db.findingsOf('RLS081')).toEqual([]);
  });

  it('of two copies of other names the wider one stays; for other roles it is no copy', async () => {
    await db.as(
      'migrator',
      `CREATE POLICY a_copy ON note FOR SELECT USING (id > 5 AND ${TENANT}); CREATE POLICY other ON note USING (id > 5 AND ${TENANT})`,
    );
    expect(await db.findingsOf('RLS081')).toMatchObject([
      { object: 'policy "a_copy" on table "public.note"' },
    ]);
    await db.as('migrator', `ALTER POLICY other ON note TO ${db.roles.admin}`);
    expect(await db.findingsOf('RLS081')).toEqual([]);
  });
});

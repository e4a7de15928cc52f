import { A, B, createNoteDatabase, type NoteDatabase } from './audit-support.js';

const RULE = 'RLS034';

describe('RLS034 immutable-context-function', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as(
      'migrator',
      `CREATE FUNCTION setting() RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT NULLIF(current_setting('rls.current_tenant', true), '') $$;
       CREATE FUNCTION cur_tenant() RETURNS uuid IMMUTABLE LANGUAGE sql AS 'SELECT setting()::uuid';
       ALTER POLICY note_tenant_isolation_policy ON note USING (tenant_id = (SELECT cur_tenant())) WITH CHECK (tenant_id = (SELECT cur_tenant()))`,
    );
  });
  afterAll(() => db.drop());

  /** What tenant B gets from a statement that tenant A prepared on the same connection. */
  const seenByB = () =>
    db.as(
      'app',
      `SET rls.current_tenant = '${A}'; PREPARE notes AS SELECT body FROM note; EXECUTE notes;
       SET rls.current_tenant = '${B}'; EXECUTE notes`,
    );

  it('a prepared statement gives the second tenant the rows of the first, and both functions are found', async () => {
    expect(await seenByB()).toEqual([{ body: 'a' }]);
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([
      { ruleId: RULE, severity: 'critical', object: 'function "public.cur_tenant()"' },
      { object: 'function "public.setting()"' },
    ]);

    for (const { fix } of findings) await db.as('migrator', fix);
    expect(await seenByB()).toEqual([{ body: 'b' }]);
    expect(await db.findingsOf(RULE)).toEqual([]);
  });

  it('is silent about an IMMUTABLE function that computes from its arguments only', async () => {
    await db.as(
      'migrator',
      `CREATE FUNCTION as_tenant(text) RETURNS uuid IMMUTABLE LANGUAGE sql AS 'SELECT NULLIF($1, '''')::uuid';
       ALTER POLICY note_tenant_isolation_policy ON note USING (tenant_id = (SELECT as_tenant(current_setting('rls.current_tenant', true))))`,
    );
    expect(await seenByB()).toEqual([{ body: 'b' }]);
    expect(await db.findingsOf(RULE)).toEqual([]);
  });
});

import {
  createNoteDatabase,
  declared,
  NOTE_COLUMNS,
  protectSql,
  type NoteDatabase,
} from './audit-support.js';

const POLICY = 'memo_tenant_isolation_policy';

describe('RLS058 context-form-mixed', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as('migrator', `CREATE TABLE memo (${NOTE_COLUMNS}); GRANT SELECT ON memo TO ${db.roles.app}`);
    await db.as('migrator', protectSql(declared('memo'), db.roles.admin));
    await db.asSuperuser(`INSERT INTO memo SELECT * FROM note`);
  });
  afterAll(() => db.drop());

  const setPolicy = (predicate: string) =>
    db.as('migrator', `ALTER POLICY ${POLICY} ON memo USING (${predicate}) WITH CHECK (${predicate})`);

  it.each([
    ['alone', `tenant_id = current_setting('rls.current_tenant')::uuid`],
    [
      'beside another condition',
      `tenant_id = (SELECT current_setting('rls.current_tenant'))::uuid AND id > 0`,
    ],
  ])(
    'one form %s raises where the other shows no row, by the connection’s past, and is found',
    async (_name, predicate) => {
      await setPolicy(predicate);
      expect(await db.as('app', 'SELECT * FROM note')).toEqual([]);
      await expect(db.as('app', 'SELECT * FROM memo')).rejects.toThrow(
        'unrecognized configuration parameter',
      );
      // After a transaction that set it, the setting is an empty text, and something else goes wrong.
      const used = "BEGIN; SET LOCAL rls.current_tenant = 'x'; COMMIT;";
      expect(await db.as('app', `${used} SELECT * FROM note`)).toEqual([]);
      await expect(db.as('app', `${used} SELECT * FROM memo`)).rejects.toThrow(
        'invalid input syntax for type uuid',
      );
      const findings = await db.findingsOf('RLS058');
      expect(findings).toMatchObject([
        { severity: 'warning', object: `policy "${POLICY}" on table "public.memo"` },
      ]);

      await db.as('migrator', findings[0]!.fix);
      expect(await db.as('app', 'SELECT * FROM memo')).toEqual([]);
      expect(await db.as('app', `${used} SELECT * FROM memo`)).toEqual([]);
      expect(await db.findingsOf('RLS058')).toEqual([]);
    },
  );

  it('one form throughout is no mixture', async () => {
    await setPolicy(`tenant_id = current_setting('rls.current_tenant')::uuid`);
    await db.as(
      'migrator',
      `ALTER POLICY note_tenant_isolation_policy ON note USING (tenant_id = current_setting('rls.current_tenant')::uuid)
         WITH CHECK (tenant_id = current_setting('rls.current_tenant')::uuid)`,
    );
    expect(await db.findingsOf('RLS058')).toEqual([]);
  });
});

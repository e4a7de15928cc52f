import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

const RULE = 'RLS033';

describe('RLS033 user-leakproof-function', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.asSuperuser(
      `CREATE FUNCTION is_positive(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 LEAKPROOF AS 'BEGIN RETURN $1::int > 0; END';
       ALTER FUNCTION is_positive(text) OWNER TO ${db.roles.migrator}`,
    );
    await db.asSuperuser(`UPDATE note SET body = '1' WHERE body = 'a'`);
  });
  afterAll(() => db.drop());

  const read = () => db.asTenantA('SELECT id FROM note WHERE is_positive(body)');

  it('tells of another tenant’s row in its error, and is found', async () => {
    await expect(read()).rejects.toThrow('invalid input syntax for type integer: "b"');
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([
      { ruleId: RULE, severity: 'error', object: expect.stringContaining('function "public.is_positive(') },
    ]);

    await db.as('migrator', findings[0]!.fix);
    expect(await read()).toEqual([{ id: 1 }]);
    expect(await db.findingsOf(RULE)).toEqual([]);
  });

  it('is silent about one that the app role may not call, and about extensions', async () => {
    await db.asSuperuser(
      `CREATE EXTENSION citext; CREATE EXTENSION pgcrypto; ALTER FUNCTION is_positive(text) LEAKPROOF; REVOKE EXECUTE ON FUNCTION is_positive(text) FROM PUBLIC`,
    );
    await expect(read()).rejects.toThrow('permission denied for function');
    expect(await db.findingsOf(RULE)).toEqual([]);
  });
});

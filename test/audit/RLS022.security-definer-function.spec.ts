import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

const RULE = 'RLS022';

describe('RLS022 security-definer-function', () => {
  let db: NoteDatabase;
  let held: string;

  beforeAll(async () => {
    db = await createNoteDatabase();
    held = `held_${db.roles.app}`;
    await db.asSuperuser(
      `CREATE ROLE ${held}; GRANT USAGE, CREATE ON SCHEMA public TO ${held}; GRANT SELECT ON note TO ${held}`,
    );
  });
  afterAll(async () => {
    await db.asSuperuser(`DROP OWNED BY ${held}; DROP ROLE ${held}`);
    await db.drop();
  });

  const bodies = async () =>
    (await db.asTenantA<{ body: string }>('SELECT body FROM all_notes() AS body ORDER BY 1')).map(
      ({ body }) => body,
    );

  it.each([
    ['SQL', `LANGUAGE sql AS 'SELECT body FROM note'`],
    [
      'SQL that it puts together',
      `LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'SELECT body FROM no' || 'te'; END $$`,
    ],
    ['a function that reads for it', `LANGUAGE sql AS 'SELECT bodies()'`],
  ])('shows every tenant’s rows with %s, and is found', async (_name, definition) => {
    await db.as(
      'migrator',
      `CREATE FUNCTION bodies() RETURNS SETOF text LANGUAGE sql AS 'SELECT body FROM note';
       CREATE FUNCTION all_notes() RETURNS SETOF text SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp ${definition}`,
    );
    expect(await bodies()).toEqual(['a', 'b']);
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([
      { ruleId: RULE, severity: 'critical', object: 'function "public.all_notes()"' },
    ]);

    await db.as('migrator', findings[0]!.fix);
    expect(await bodies()).toEqual(['a']);
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.as('migrator', 'DROP FUNCTION all_notes(), bodies()');
  });

  it('one that the app role may not call is no finding', async () => {
    await db.as(
      'migrator',
      `CREATE FUNCTION all_notes() RETURNS SETOF text SECURITY DEFINER LANGUAGE sql AS 'SELECT body FROM note';
       REVOKE EXECUTE ON FUNCTION all_notes() FROM PUBLIC`,
    );
    await expect(bodies()).rejects.toThrow('permission denied');
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.as('migrator', 'DROP FUNCTION all_notes()');
  });

  it('one whose owner the policies hold shows one tenant’s rows, and is no finding', async () => {
    await db.asSuperuser(
      `CREATE FUNCTION all_notes() RETURNS SETOF text SECURITY DEFINER LANGUAGE sql AS 'SELECT body FROM note';
       ALTER FUNCTION all_notes() OWNER TO ${held}`,
    );
    expect(await bodies()).toEqual(['a']);
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.asSuperuser('DROP FUNCTION all_notes()');
  });

  it('one that only calls another, which the app role may not call, is found', async () => {
    await db.asSuperuser(
      `CREATE FUNCTION bodies() RETURNS SETOF text SECURITY DEFINER LANGUAGE sql AS 'SELECT body FROM note';
       REVOKE EXECUTE ON FUNCTION bodies() FROM PUBLIC; GRANT EXECUTE ON FUNCTION bodies() TO ${held};
       CREATE FUNCTION all_notes() RETURNS SETOF text SECURITY DEFINER LANGUAGE sql AS 'SELECT bodies()';
       ALTER FUNCTION all_notes() OWNER TO ${held}`,
    );
    expect(await bodies()).toEqual(['a', 'b']);
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([{ severity: 'critical', object: 'function "public.all_notes()"' }]);
    await db.asSuperuser(findings[0]!.fix);
    await expect(bodies()).rejects.toThrow('permission denied for function bodies');
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.asSuperuser('DROP FUNCTION all_notes(), bodies()');
  });

  it('one that names no tenant table is worth knowing, and fails nothing', async () => {
    await db.as(
      'migrator',
      `CREATE FUNCTION now_here() RETURNS timestamptz SECURITY DEFINER LANGUAGE sql AS 'SELECT now()'`,
    );
    expect(await db.findingsOf(RULE)).toMatchObject([
      { severity: 'info', object: 'function "public.now_here()"' },
    ]);
    await db.as('migrator', 'DROP FUNCTION now_here()');
  });
});

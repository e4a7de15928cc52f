import { B, createNoteDatabase, type NoteDatabase } from './audit-support.js';

const RULE = 'RLS023';

describe('RLS023 secdef-search-path', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as(
      'migrator',
      `CREATE TABLE quota (notes text); INSERT INTO quota VALUES ('ten');
       CREATE FUNCTION quota() RETURNS text SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT notes FROM quota); END $$`,
    );
  });
  afterAll(() => db.drop());

  /** What the function answers to somebody who put a view of the same name in front. */
  const shadowed = async () => {
    const [row] = await db.asTenantA<{ quota: string }>(
      `CREATE FUNCTION pg_temp.spy() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(body, ',' ORDER BY body) FROM public.note $$;
       CREATE TEMP VIEW quota AS SELECT pg_temp.spy() AS notes;
       GRANT ALL ON quota TO PUBLIC;
       SELECT quota()`,
    );
    return row!.quota;
  };

  it('a temporary view in front runs with the rights of the function’s owner, and is found', async () => {
    expect(await shadowed()).toBe('a,b');
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([
      { ruleId: RULE, severity: 'error', object: 'function "public.quota()"' },
    ]);

    await db.as('migrator', findings[0]!.fix);
    expect(await shadowed()).toBe('ten');
    expect(await db.findingsOf(RULE)).toEqual([]);
  });

  it('a search path without pg_temp looks there first', async () => {
    await db.as('migrator', 'ALTER FUNCTION quota() SET search_path = pg_catalog, public');
    expect(await shadowed()).toBe('a,b');
    expect(await db.findingsOf(RULE)).toMatchObject([
      { message: expect.stringContaining('pg_temp is not the last') },
    ]);
    await db.as('migrator', 'ALTER FUNCTION quota() SET search_path = pg_catalog, public, pg_temp');
    expect(await shadowed()).toBe('ten');
    expect(await db.findingsOf(RULE)).toEqual([]);
  });

  it('a body that was bound when the function was made needs none', async () => {
    await db.as(
      'migrator',
      `DROP FUNCTION quota();
       CREATE FUNCTION quota() RETURNS text SECURITY DEFINER LANGUAGE sql BEGIN ATOMIC SELECT notes FROM quota; END`,
    );
    expect(await shadowed()).toBe('ten');
    expect(await db.findingsOf(RULE)).toEqual([]);
  });

  it('a policy’s helper reads a temporary table in the place of its own, and is found', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE login (member text, org uuid); GRANT SELECT ON login TO ${db.roles.app};
       CREATE FUNCTION my_org() RETURNS uuid STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT org FROM login WHERE member = current_user); END $$;
       ALTER POLICY note_tenant_isolation_policy ON note USING (tenant_id = (SELECT my_org()))`,
    );
    const seen = () =>
      db.as(
        'app',
        `CREATE TEMP TABLE login AS SELECT current_user::text AS member, '${B}'::uuid AS org; SELECT body FROM note`,
      );
    expect(await seen()).toEqual([{ body: 'b' }]);
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([{ object: 'function "public.my_org()"' }]);
    expect(findings[0]!.message).toContain(
      'Policy "note_tenant_isolation_policy" on table "public.note" calls it',
    );

    await db.as('migrator', findings[0]!.fix);
    expect(await seen()).toEqual([]);
    expect(await db.findingsOf(RULE)).toEqual([]);

    // Names with their schema do as well, and let PostgreSQL inline a function.
    await db.as(
      'migrator',
      `CREATE OR REPLACE FUNCTION my_org() RETURNS uuid STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT org FROM public.login WHERE member = current_user); END $$`,
    );
    expect(await seen()).toEqual([]);
    expect(await db.findingsOf(RULE)).toEqual([]);
  });
});

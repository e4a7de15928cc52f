import { A, B, createNoteDatabase, type NoteDatabase } from './audit-support.js';

const RULE = 'RLS031';

describe('RLS031 public-grant', () => {
  let db: NoteDatabase;
  let login: string;

  beforeAll(async () => {
    db = await createNoteDatabase();
    login = `bi_${db.roles.app}`;
    await db.asSuperuser(`CREATE ROLE ${login}; REVOKE CREATE ON SCHEMA public FROM PUBLIC`);
  });
  afterAll(async () => {
    await db.asSuperuser(`DROP OWNED BY ${login}; DROP ROLE ${login}`);
    await db.drop();
  });

  /** A login that nobody granted anything names the tenant that it wants to read. */
  const asLogin = (sql: string) =>
    db.asSuperuser(`SET ROLE ${login}; SET rls.current_tenant = '${B}'; ${sql}`);

  it('every login reads a tenant of its choice, and the grant is found', async () => {
    await db.as('migrator', `REVOKE ALL ON note FROM ${db.roles.app}; GRANT SELECT ON note TO PUBLIC`);
    expect(await asLogin('SELECT body FROM note')).toEqual([{ body: 'b' }]);
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([{ ruleId: RULE, severity: 'error', object: 'table "public.note"' }]);

    await db.as('migrator', findings[0]!.fix);
    await expect(asLogin('SELECT body FROM note')).rejects.toThrow('permission denied');
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf(RULE)).toEqual([]);
  });

  it('a column and a view granted to PUBLIC are found', async () => {
    await db.as(
      'migrator',
      `GRANT SELECT (body) ON note TO PUBLIC; CREATE VIEW notes AS SELECT * FROM note; GRANT SELECT ON notes TO PUBLIC`,
    );
    expect(await asLogin('SELECT body FROM note')).toEqual([{ body: 'b' }]);
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([{ object: 'table "public.note"' }, { object: 'view "public.notes"' }]);
    for (const { fix } of findings) await db.as('migrator', fix);
    await expect(asLogin('SELECT body FROM note')).rejects.toThrow('permission denied');
    await expect(asLogin('SELECT body FROM notes')).rejects.toThrow('permission denied');
    expect(await db.findingsOf(RULE)).toEqual([]);
  });

  it.each([
    ['PUBLIC', () => 'PUBLIC'],
    ['the app role', () => db.roles.app],
  ])(
    'a schema in which %s may create has its function called in the place of another',
    async (_name, grantee) => {
      await db.as('migrator', `GRANT CREATE ON SCHEMA public TO ${grantee()}`);
      await db.as(
        'app',
        `CREATE TABLE loot (body text); GRANT INSERT ON loot TO PUBLIC;
       CREATE FUNCTION upper(varchar) RETURNS text LANGUAGE sql AS 'INSERT INTO loot VALUES ($1); SELECT pg_catalog.upper($1)'`,
      );
      await db.as('migrator', 'SELECT upper(body::varchar) FROM note');
      expect(await db.asTenantA('SELECT body FROM loot ORDER BY 1')).toEqual([{ body: 'a' }, { body: 'b' }]);
      const findings = await db.findingsOf(RULE);
      expect(findings).toMatchObject([{ severity: 'error', object: 'schema "public"' }]);

      await db.as('app', 'DROP FUNCTION upper(varchar); DROP TABLE loot');
      await db.as('migrator', findings[0]!.fix);
      await expect(db.as('app', 'CREATE TABLE loot (body text)')).rejects.toThrow('permission denied');
      expect(await db.findingsOf(RULE)).toEqual([]);
    },
  );

  it('is silent about tables without tenants, and a schema of the app role’s own', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE country (name text); GRANT SELECT ON country TO PUBLIC;
       CREATE SCHEMA scratch; GRANT ALL ON SCHEMA scratch TO ${db.roles.app}`,
    );
    expect(await db.asTenantA(`SELECT FROM country WHERE name = '${A}'`)).toEqual([]);
    expect(await db.findingsOf(RULE)).toEqual([]);
  });
});

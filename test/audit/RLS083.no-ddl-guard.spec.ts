import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

describe('RLS083 no-ddl-guard', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as('migrator', `ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ${db.roles.app}`);
  });
  afterAll(() => db.drop());

  /** Every way to make a table, as the migration role. The app role may read each of them. */
  const MADE = {
    'CREATE TABLE': 'CREATE TABLE copy (LIKE note); INSERT INTO copy SELECT * FROM note',
    'CREATE TABLE AS': 'CREATE TABLE copy AS SELECT * FROM note',
    'SELECT INTO': 'SELECT * INTO copy FROM note',
    'CREATE SCHEMA': 'CREATE SCHEMA copies CREATE TABLE copy (LIKE public.note)',
  };
  /** How many rows of other tenants the app role reads of a table made so. */
  const leakedBy = async (sql: string) => {
    const inSchema = sql.startsWith('CREATE SCHEMA');
    const table = inSchema ? 'copies.copy' : 'copy';
    await db.as('migrator', sql);
    if (inSchema)
      await db.as(
        'migrator',
        `INSERT INTO copies.copy SELECT * FROM note; GRANT USAGE ON SCHEMA copies TO ${db.roles.app}`,
      );
    await db.as('migrator', `GRANT SELECT ON ${table} TO ${db.roles.app}`);
    const rows = await db.asTenantA(`SELECT body FROM ${table} WHERE body = 'b'`);
    await db.as('migrator', inSchema ? 'DROP SCHEMA copies CASCADE' : 'DROP TABLE copy');
    return rows.length;
  };

  it('without a guard it has nothing to say, unless it is asked for', async () => {
    const { skipped } = await db.audit([db.note], { scope: 'database' } as never);
    expect(skipped).toContainEqual(
      expect.objectContaining({ id: 'RLS083', reason: expect.stringContaining('ask for the rule') }),
    );
  });

  it('however a table is made, it shows every tenant’s rows; under the guard of the fix it shows none', async () => {
    for (const sql of Object.values(MADE)) expect(await leakedBy(sql)).toBe(1);
    const [finding] = await db.findingsOf('RLS083');
    expect(finding).toMatchObject({ severity: 'info', object: `database "${db.name}"` });

    await db.asSuperuser(finding!.fix);
    expect(await leakedBy(MADE['CREATE TABLE AS'])).toBe(0);
    expect(await leakedBy(MADE['SELECT INTO'])).toBe(0);
    // What is inserted into a table that no policy opens is refused, the owner's rows included.
    await expect(leakedBy(MADE['CREATE TABLE'])).rejects.toThrow('row-level security');
    await expect(leakedBy(MADE['CREATE SCHEMA'])).rejects.toThrow('row-level security');
    await db.as('migrator', 'DROP TABLE IF EXISTS copy; DROP SCHEMA IF EXISTS copies CASCADE');
    expect(await db.findingsOf('RLS083')).toEqual([]);
  });

  it('temporary tables and other objects are left alone by the guard', async () => {
    await expect(
      db.asSuperuser('CREATE TEMP TABLE scratch AS SELECT 1 AS n; SELECT n FROM scratch'),
    ).resolves.toEqual([{ n: 1 }]);
    await db.as(
      'migrator',
      'CREATE VIEW v AS SELECT 1 AS n; CREATE INDEX i ON note (body); DROP VIEW v; DROP INDEX i',
    );
  });

  it('a guard that is disabled is found', async () => {
    await db.asSuperuser('ALTER EVENT TRIGGER rls_guard DISABLE');
    expect(await leakedBy(MADE['CREATE TABLE AS'])).toBe(1);
    const findings = await db.findingsOf('RLS083');
    expect(findings).toMatchObject([
      { object: 'event trigger "rls_guard"', message: expect.stringContaining('disabled') },
    ]);

    await db.asSuperuser(findings[0]!.fix);
    expect(await leakedBy(MADE['CREATE TABLE AS'])).toBe(0);
    expect(await db.findingsOf('RLS083')).toEqual([]);
  });

  it('a guard of CREATE TABLE alone lets the other ways pass, and is found', async () => {
    await db.asSuperuser(
      `DROP EVENT TRIGGER rls_guard;
       CREATE EVENT TRIGGER narrow ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE VIEW') EXECUTE FUNCTION rls_guard()`,
    );
    expect(await leakedBy(MADE['CREATE TABLE AS'])).toBe(1);
    expect(await leakedBy(MADE['SELECT INTO'])).toBe(1);
    expect(await leakedBy(MADE['CREATE SCHEMA'])).toBe(1);
    const findings = await db.findingsOf('RLS083');
    expect(findings).toMatchObject([
      {
        object: 'event trigger "narrow"',
        message: 'It does not fire for CREATE TABLE AS, SELECT INTO, CREATE SCHEMA, which make tables too.',
        fix: expect.stringContaining("'CREATE VIEW'"),
      },
    ]);

    await db.asSuperuser(findings[0]!.fix);
    expect(await leakedBy(MADE['CREATE TABLE AS'])).toBe(0);
    expect(await db.findingsOf('RLS083')).toEqual([]);
  });
});

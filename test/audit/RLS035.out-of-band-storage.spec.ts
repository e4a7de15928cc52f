import pg from 'pg';
import { A, B, createNoteDatabase, type NoteDatabase } from './audit-support.js';

describe('RLS035 out-of-band-storage', () => {
  let db: NoteDatabase;
  const found = () => db.findingsOf('RLS035');
  const asTenantB = (sql: string) => db.as('app', `SET rls.current_tenant = '${B}'; ${sql}`);

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  it('a large object of one tenant is read by another, and the column and the object are found', async () => {
    await db.as('migrator', 'ALTER TABLE note ADD COLUMN file oid');
    await asTenantB(`UPDATE note SET file = lo_from_bytea(0, 'file of B')`);
    expect(await db.asTenantA('SELECT file FROM note')).toEqual([{ file: null }]);
    const readAll = () =>
      db.asTenantA(`SELECT convert_from(lo_get(oid), 'UTF8') AS file FROM pg_largeobject_metadata`);
    expect(await readAll()).toEqual([{ file: 'file of B' }]);

    const findings = await found();
    expect(findings).toMatchObject([
      { ruleId: 'RLS035', severity: 'info', object: 'column "file" of table "public.note"' },
      { severity: 'info', object: `database "${db.name}"` },
    ]);
    await db.asSuperuser(findings[1]!.fix);
    await db.asSuperuser(findings[0]!.fix);
    expect(await readAll()).toEqual([]);
    const own = `SELECT convert_from(file, 'UTF8') AS file FROM note`;
    expect(await asTenantB(own)).toEqual([{ file: 'file of B' }]);
    expect(await db.asTenantA(own)).toEqual([{ file: null }]);
    expect(await found()).toEqual([]);
  });

  it('a payload reaches whoever listens, of any tenant, and the function is found', async () => {
    const notify = (statement: string) =>
      db.as(
        'migrator',
        `CREATE OR REPLACE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN /* pg_notify('x', NEW.body) */ ${statement}; RETURN NEW; END $$`,
      );
    await notify(`PERFORM pg_notify('note', NEW.body)`);
    await db.as('migrator', 'CREATE TRIGGER tell AFTER UPDATE ON note FOR EACH ROW EXECUTE FUNCTION tell()');
    const listenerOfA = new pg.Client({ connectionString: db.url('app') });
    await listenerOfA.connect();
    try {
      const heard: (string | undefined)[] = [];
      listenerOfA.on('notification', ({ payload }) => heard.push(payload));
      await listenerOfA.query(`SET rls.current_tenant = '${A}'; LISTEN note`);
      const changeOfB = async () => {
        await asTenantB('UPDATE note SET body = body');
        // What was sent before a statement arrives with its result.
        await listenerOfA.query('SELECT');
        return heard.splice(0);
      };
      expect(await changeOfB()).toEqual(['b']);
      expect(await found()).toMatchObject([
        {
          severity: 'info',
          object: 'function "public.tell()"',
          fix: expect.stringContaining(`pg_notify('channel', '')`),
        },
      ]);

      await notify(`PERFORM pg_notify('note', '')`);
      expect(await changeOfB()).toEqual(['']);
      expect(await found()).toEqual([]);
      // NOTIFY takes nothing but literals.
      await notify(`NOTIFY note`);
      expect(await changeOfB()).toEqual(['']);
      expect(await found()).toEqual([]);
    } finally {
      await listenerOfA.end();
      await db.as('migrator', 'DROP FUNCTION tell CASCADE');
    }
  });

  it('an unlogged table without a tenant hands rows from one to the other, and is found', async () => {
    await db.as(
      'migrator',
      `CREATE UNLOGGED TABLE upload (line text); GRANT SELECT, INSERT ON upload TO ${db.roles.app}`,
    );
    await asTenantB(`INSERT INTO upload VALUES ('of B')`);
    expect(await db.asTenantA('SELECT line FROM upload')).toEqual([{ line: 'of B' }]);
    const findings = await found();
    expect(findings).toMatchObject([{ severity: 'info', object: 'table "public.upload"' }]);
    await db.as('migrator', findings[0]!.fix);
    await asTenantB(`INSERT INTO upload VALUES ('of B')`);
    expect(await db.asTenantA('SELECT line FROM upload')).toEqual([]);
    expect(await asTenantB('SELECT line FROM upload')).toEqual([{ line: 'of B' }]);
    expect(await found()).toEqual([]);
  });

  it('a logged table without a tenant is no staging table', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE country (name text); GRANT SELECT, INSERT ON country TO ${db.roles.app}`,
    );
    expect(await found()).toEqual([]);
    await db.as('migrator', 'DROP TABLE country');
  });

  it('a function that only mentions pg_notify in a comment or a text is none', async () => {
    await db.as(
      'migrator',
      `CREATE FUNCTION docs() RETURNS text LANGUAGE sql AS $$ SELECT 'pg_notify(a, b)' -- pg_notify(c, d)
       $$`,
    );
    expect(await found()).toEqual([]);
    await db.as('migrator', 'DROP FUNCTION docs');
  });
});

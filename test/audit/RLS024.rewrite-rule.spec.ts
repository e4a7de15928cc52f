import { A, createNoteDatabase, type NoteDatabase } from './audit-support.js';

const RULE = 'RLS024';

describe('RLS024 rewrite-rule', () => {
  let db: NoteDatabase;
  let held: string;

  beforeAll(async () => {
    db = await createNoteDatabase();
    held = `held_${db.roles.app}`;
    await db.as(
      'migrator',
      `CREATE TABLE seen (bodies text); GRANT SELECT, INSERT, DELETE ON seen TO ${db.roles.app}`,
    );
    await db.asSuperuser(
      `CREATE ROLE ${held}; GRANT USAGE, CREATE ON SCHEMA public TO ${held}; GRANT SELECT ON note TO ${held}`,
    );
  });
  afterAll(async () => {
    await db.asSuperuser(`DROP OWNED BY ${held}; DROP ROLE ${held}`);
    await db.drop();
  });

  const COUNT = `INSERT INTO seen SELECT string_agg(body, ',' ORDER BY body) FROM note`;
  /** What tenant A finds in the table that the rule fills; ending the connection rolls back. */
  const recorded = async (statement: string) => {
    const rows = await db.asTenantA<{ bodies: string }>(
      `BEGIN; DELETE FROM seen; ${statement}; SELECT bodies FROM seen`,
    );
    return rows.map(({ bodies }) => bodies);
  };
  const INSERT = `INSERT INTO note VALUES (3, '${A}', 'new')`;

  it('copies every tenant’s rows in one tenant’s statement, and is found', async () => {
    await db.as('migrator', `CREATE RULE copy AS ON INSERT TO note DO ALSO ${COUNT}`);
    expect(await recorded(INSERT)).toEqual(['a,b,new']);
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([
      { ruleId: RULE, severity: 'error', object: 'rule "copy" on table "public.note"' },
    ]);

    await db.as('migrator', findings[0]!.fix);
    expect(await recorded(INSERT)).toEqual([]);
    expect(await db.findingsOf(RULE)).toEqual([]);
  });

  it('on a table of nobody’s, and through a view, it reaches tenant tables all the same', async () => {
    await db.as(
      'migrator',
      `CREATE VIEW notes AS SELECT * FROM note;
       CREATE TABLE ping (id int); GRANT INSERT ON ping TO ${db.roles.app};
       CREATE RULE copy AS ON INSERT TO ping DO INSTEAD ${COUNT.replace('note', 'notes')}`,
    );
    expect(await recorded('INSERT INTO ping VALUES (1)')).toEqual(['a,b']);
    expect(await db.findingsOf(RULE)).toMatchObject([{ object: 'rule "copy" on table "public.ping"' }]);
    await db.as('migrator', 'DROP TABLE ping; DROP VIEW notes');
  });

  it('is silent about one whose owner the policies hold', async () => {
    await db.asSuperuser(
      `GRANT INSERT ON seen TO ${held};
       CREATE TABLE ping (id int); GRANT INSERT ON ping TO ${db.roles.app};
       CREATE RULE copy AS ON INSERT TO ping DO INSTEAD ${COUNT}; ALTER TABLE ping OWNER TO ${held}`,
    );
    expect(await recorded('INSERT INTO ping VALUES (1)')).toEqual(['a']);
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.asSuperuser('DROP TABLE ping');
  });

  it('is silent about one that reads nothing, one that is disabled, and one that the app role cannot set off', async () => {
    await db.as(
      'migrator',
      `CREATE RULE keep AS ON DELETE TO note DO INSTEAD NOTHING;
       CREATE RULE off AS ON INSERT TO note DO ALSO ${COUNT}; ALTER TABLE note DISABLE RULE off;
       CREATE TABLE ping (id int); CREATE RULE copy AS ON INSERT TO ping DO INSTEAD ${COUNT}`,
    );
    expect(await recorded(`${INSERT}; DELETE FROM note`)).toEqual([]);
    await expect(db.asTenantA('INSERT INTO ping VALUES (1)')).rejects.toThrow('permission denied');
    expect(await db.findingsOf(RULE)).toEqual([]);
  });
});

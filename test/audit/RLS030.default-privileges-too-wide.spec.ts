import {
  B,
  createNoteDatabase,
  protectSql,
  declared,
  NOTE_COLUMNS,
  type NoteDatabase,
} from './audit-support.js';

const RULE = 'RLS030';

describe('RLS030 default-privileges-too-wide', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  /** A table made with nothing said about privileges, with a row of tenant B. */
  const createTable = (name: string, protect = true) =>
    db.as(
      'migrator',
      `CREATE TABLE ${name} (${NOTE_COLUMNS}); ${protect ? protectSql(declared(name), db.roles.admin) : ''}
       INSERT INTO ${name} VALUES (1, '${B}', 'b')`,
    );

  it('ALL on future tables lets the app role delete every tenant’s rows of a table made later, and is found', async () => {
    await db.as(
      'migrator',
      `ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO ${db.roles.app}`,
    );
    await createTable('first');
    await db.asTenantA('TRUNCATE first');
    expect(await db.asSuperuser('SELECT FROM first')).toEqual([]);
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([
      {
        ruleId: RULE,
        severity: 'error',
        object: `default privileges of role "${db.roles.migrator}" in schema "public" for role "${db.roles.app}" on tables`,
      },
    ]);

    await db.as('migrator', findings[0]!.fix);
    await createTable('second');
    await expect(db.asTenantA('TRUNCATE second')).rejects.toThrow('permission denied');
    // What serving requests takes is left.
    expect(await db.asTenantA('SELECT FROM second')).toEqual([]);
    expect(await db.findingsOf(RULE)).toEqual([]);
  });

  it('anything for PUBLIC shows a table that nobody has protected yet to every login, and is found', async () => {
    const login = `bi_${db.roles.app}`;
    await db.asSuperuser(`CREATE ROLE ${login}`);
    await db.as('migrator', 'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC');
    await createTable('third', false);
    const read = (table: string) => db.asSuperuser(`SET ROLE ${login}; SELECT body FROM ${table}`);
    expect(await read('third')).toEqual([{ body: 'b' }]);
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([
      { object: `default privileges of role "${db.roles.migrator}" for PUBLIC on tables` },
    ]);

    await db.as('migrator', findings[0]!.fix);
    await createTable('fourth', false);
    await expect(read('fourth')).rejects.toThrow('permission denied');
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.asSuperuser(`DROP ROLE ${login}`);
  });

  it('is silent about what other roles are given, and about functions', async () => {
    await db.as(
      'migrator',
      `ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO ${db.roles.admin}; ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC`,
    );
    expect(await db.findingsOf(RULE)).toEqual([]);
  });
});

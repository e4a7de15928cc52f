import {
  createNoteDatabase,
  declared,
  NOTE_COLUMNS,
  protectSql,
  type NoteDatabase,
} from './audit-support.js';

describe('RLS087 untested-policy', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as('migrator', `CREATE TABLE doc (${NOTE_COLUMNS}); GRANT SELECT ON doc TO ${db.roles.app}`);
    await db.as('migrator', protectSql(declared('doc'), db.roles.admin));
    await db.asSuperuser(`INSERT INTO doc SELECT * FROM note`);
  });
  afterAll(() => db.drop());

  /** Statistics arrive when a session ends, a little later before PostgreSQL 15. */
  const found = async (wanted: string[]) => {
    let objects: string[] = [];
    for (let round = 0; round < 100; round++) {
      objects = (await db.findingsOf('RLS087')).map(({ object }) => object);
      if (objects.join() === wanted.join()) break;
      await new Promise((done) => setTimeout(done, 50));
    }
    return objects;
  };

  it('a table of which nothing was read is found, because a hole in its policy shows in no test', async () => {
    await db.seenByA();
    expect(await found(['table "public.doc"'])).toEqual(['table "public.doc"']);
    await db.asTenantA('SELECT body FROM doc');
    expect(await found([])).toEqual([]);
  });

  it('is off unless asked for', async () => {
    const { skipped } = await db.audit([db.note], { scope: 'database' } as never);
    expect(skipped).toContainEqual(expect.objectContaining({ id: 'RLS087' }));
  });
});

import { A, B, createNoteDatabase, declared, protectSql, type NoteDatabase } from './audit-support.js';

describe('RLS006 unclassified-table', () => {
  let db: NoteDatabase;
  const tag = declared('tag');
  const found = () => db.findingsOf('RLS006', [db.note, tag]);

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as(
      'migrator',
      `CREATE TABLE tag (id int PRIMARY KEY, tenant_id uuid NOT NULL, name text);
       ${protectSql(tag, db.roles.admin)} GRANT SELECT ON tag TO ${db.roles.app}`,
    );
    await db.asSuperuser(`INSERT INTO tag VALUES (1, '${A}', 'a'), (2, '${B}', 'b')`);
  });
  beforeEach(async () => {
    await db.as(
      'migrator',
      `CREATE TABLE note_tags (note_id int REFERENCES note (id), tag_id int REFERENCES tag (id));
       GRANT SELECT, INSERT, UPDATE, DELETE ON note_tags TO ${db.roles.app}`,
    );
    await db.asSuperuser('INSERT INTO note_tags VALUES (1, 1), (2, 2)');
  });
  afterEach(() => db.as('migrator', 'DROP TABLE note_tags'));
  afterAll(() => db.drop());

  const links = () => db.asTenantA('SELECT note_id, tag_id FROM note_tags ORDER BY 1');
  const everybodys = [
    { note_id: 1, tag_id: 1 },
    { note_id: 2, tag_id: 2 },
  ];

  it('a join table without a tenant shows every tenant’s links, and is found', async () => {
    expect(await links()).toEqual(everybodys);
    const findings = await found();
    expect(findings).toMatchObject([
      {
        ruleId: 'RLS006',
        severity: 'error',
        object: 'table "public.note_tags"',
        message: expect.stringContaining('"public.note" and "public.tag"'),
      },
    ]);
    await db.as('migrator', findings[0]!.fix);
    expect(await links()).toEqual([everybodys[0]]);
    expect(await db.asSuperuser('SELECT tenant_id FROM note_tags ORDER BY note_id')).toEqual([
      { tenant_id: A },
      { tenant_id: B },
    ]);
    // Later links belong to whoever makes them.
    await db.asTenantA('INSERT INTO note_tags VALUES (1, 1)');
    expect(await db.asSuperuser(`SELECT FROM note_tags WHERE tenant_id = '${A}'`)).toHaveLength(2);
    expect(await found()).toEqual([]);
    // It is a tenant table from now on, and its foreign keys are RLS040's.
    expect(await db.findingsOf('RLS040', [db.note, tag])).toHaveLength(2);
  });

  it('a policy that asks for nothing of the parents does not help', async () => {
    await db.as(
      'migrator',
      `ALTER TABLE note_tags ENABLE ROW LEVEL SECURITY; CREATE POLICY anything ON note_tags USING (true)`,
    );
    expect(await links()).toEqual(everybodys);
    const findings = await found();
    expect(findings).toMatchObject([{ object: 'table "public.note_tags"' }]);
    await db.as('migrator', findings[0]!.fix);
    expect(await links()).toEqual([everybodys[0]]);
    expect(await found()).toEqual([]);
  });

  it('a policy through the parents holds the links, even without a word of the tenant', async () => {
    const policy = (using: string) =>
      db.as(
        'migrator',
        `DROP POLICY IF EXISTS p ON note_tags; CREATE POLICY p ON note_tags USING (${using})`,
      );
    await db.as('migrator', 'ALTER TABLE note_tags ENABLE ROW LEVEL SECURITY');
    await policy('EXISTS (SELECT FROM note WHERE note.id = note_id)');
    expect(await links()).toEqual([everybodys[0]]);
    expect(await found()).toEqual([]);

    await policy('EXISTS (SELECT FROM note WHERE note.id = note_id) OR tag_id > 1');
    expect(await links()).toEqual(everybodys);
    expect(await found()).toHaveLength(1);

    // Any note of one's own shows all links.
    await policy('EXISTS (SELECT FROM note)');
    expect(await links()).toEqual(everybodys);
    expect(await found()).toHaveLength(1);
  });

  it('the EXISTS form of the library is protection', async () => {
    const joinTable = declared('note_tags', {
      kind: 'join-table',
      sides: [{ table: 'note', columns: [{ column: 'note_id', referencedColumn: 'id' }] }],
    });
    await db.as('migrator', protectSql(joinTable, db.roles.admin));
    expect(await links()).toEqual([everybodys[0]]);
    for (const tables of [[db.note, tag, joinTable], [db.note]])
      expect(await db.findingsOf('RLS006', tables)).toEqual([]);
  });

  it('what the app role may not touch, shared tables, and the tenants themselves are none of it', async () => {
    await db.as('migrator', `REVOKE ALL ON note_tags FROM ${db.roles.app}`);
    await expect(links()).rejects.toThrow('permission denied');
    await db.as(
      'migrator',
      `CREATE TABLE country (id int PRIMARY KEY);
       CREATE TABLE tenant (id uuid PRIMARY KEY, welcome_note int REFERENCES note (id));
       CREATE TABLE place (id int, tenant_id uuid REFERENCES tenant (id), country int REFERENCES country (id));
       ${protectSql(declared('place'), db.roles.admin)}
       GRANT SELECT ON country, tenant, place TO ${db.roles.app}`,
    );
    expect(await found()).toEqual([]);
    await db.as('migrator', 'DROP TABLE place, tenant, country');
  });
});

import { createNoteDatabase, declared, protectSql, type NoteDatabase } from './audit-support.js';

describe('RLS043 tenant-column-nullable', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  it('a row without a tenant is lost to every tenant, and the column is found', async () => {
    await db.as('migrator', 'ALTER TABLE note ALTER COLUMN tenant_id DROP NOT NULL');
    await db.asSuperuser(`INSERT INTO note VALUES (3, NULL, 'nobody')`);
    expect(await db.seenByA()).toEqual(['a']);
    const { findings } = await db.audit();
    expect(findings).toMatchObject([
      { ruleId: 'RLS043', severity: 'error', object: 'column "tenant_id" of table "public.note"' },
    ]);

    await db.asSuperuser('DELETE FROM note WHERE tenant_id IS NULL');
    await db.as('migrator', findings[0]!.fix);
    await expect(db.asSuperuser(`INSERT INTO note VALUES (3, NULL, 'nobody')`)).rejects.toThrow('not-null');
    expect(await db.findings()).toEqual([]);
  });

  it('a join table without a tenant column of its own has none that could be NULL', async () => {
    const link = declared('note_links', {
      kind: 'join-table',
      sides: [{ table: 'note', columns: [{ column: 'note_id', referencedColumn: 'id' }] }],
    });
    await db.as('migrator', 'CREATE TABLE note_links (note_id int, tenant_id uuid)');
    await db.as('migrator', protectSql(link, db.roles.admin));
    expect(await db.findings([link])).toEqual([]);
  });
});

import { A, createNoteDatabase, type NoteDatabase } from './audit-support.js';

describe('RLS086 per-user-column-unscoped', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as('migrator', 'ALTER TABLE note ADD user_id int');
    await db.asSuperuser(`UPDATE note SET user_id = 1; INSERT INTO note VALUES (3, '${A}', 'of user 2', 2)`);
  });
  afterAll(() => db.drop());

  it('a user of the tenant reads another user’s row, and the table is found until a policy asks for the column', async () => {
    const asUser1 = () => db.asTenantA(`SET app.user_id = '1'; SELECT body FROM note`);
    expect(await asUser1()).toContainEqual({ body: 'of user 2' });
    expect(await db.findingsOf('RLS086')).toMatchObject([
      { severity: 'info', object: 'column "user_id" of table "public.note"' },
    ]);

    await db.as(
      'migrator',
      `CREATE POLICY own ON note AS RESTRICTIVE
         USING (user_id = (SELECT NULLIF(current_setting('app.user_id', true), '')::int))`,
    );
    expect(await asUser1()).toEqual([{ body: 'a' }]);
    expect(await db.findingsOf('RLS086')).toEqual([]);
  });

  it('is off unless asked for', async () => {
    const { skipped } = await db.audit([db.note], { scope: 'database' } as never);
    expect(skipped).toContainEqual(expect.objectContaining({ id: 'RLS086' }));
  });
});

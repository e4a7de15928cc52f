import { createNoteDatabase, type NoteDatabase } from './audit-support.js';
import { fillNotes, planOf, TENANT_INDEX } from './plan-support.js';

describe('RLS075 many-permissive-policies', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await fillNotes(db, 20_000);
    await db.as('migrator', TENANT_INDEX);
  });
  afterAll(() => db.drop());

  it('a second permissive policy makes an OR of an index condition, and is found', async () => {
    const plan = () => planOf(db, 'SELECT body FROM note');
    expect(await plan()).toMatch(/Index Cond: \(tenant_id = (?!.* OR )/);
    await db.as('migrator', `CREATE POLICY pinned ON note FOR SELECT USING (body = 'pinned')`);
    expect(await plan()).toMatch(/Seq Scan[^]*Filter: .* OR /);
    expect(await db.findingsOf('RLS075')).toMatchObject([
      {
        severity: 'info',
        object: 'table "public.note"',
        message:
          'For SELECT the app role has more than one permissive policy: "note_tenant_isolation_policy", "pinned".',
      },
    ]);

    await db.as(
      'migrator',
      `DROP POLICY pinned ON note; CREATE POLICY pinned ON note AS RESTRICTIVE FOR SELECT USING (body <> 'gone')`,
    );
    expect(await plan()).toContain('Index Cond');
    expect(await db.findingsOf('RLS075')).toEqual([]);
    await db.as('migrator', 'DROP POLICY pinned ON note');
  });

  it('one policy for each command, or one for another role, is no finding', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE doc (tenant_id uuid); ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
       CREATE POLICY r ON doc FOR SELECT USING (tenant_id IS NOT NULL);
       CREATE POLICY w ON doc FOR INSERT WITH CHECK (tenant_id IS NOT NULL)`,
    );
    // note itself has the admin policy beside the tenants'.
    expect(await db.findingsOf('RLS075')).toEqual([]);
  });
});

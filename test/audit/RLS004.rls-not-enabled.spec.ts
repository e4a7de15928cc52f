import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

describe('RLS004 rls-not-enabled', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  it('a table with dormant policies shows every row, and is found', async () => {
    await db.as('migrator', 'ALTER TABLE note DISABLE ROW LEVEL SECURITY');
    expect(await db.seenByA()).toEqual(['a', 'b']);
    const { findings } = await db.audit();
    expect(findings).toMatchObject([
      {
        ruleId: 'RLS004',
        severity: 'critical',
        object: 'table "public.note"',
        message: expect.stringContaining('2 policies are dormant'),
      },
    ]);

    await db.as('migrator', findings[0]!.fix);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findings()).toEqual([]);
  });

  it('a partitioned table is looked at like any other', async () => {
    await db.as(
      'migrator',
      'CREATE TABLE parted (id int, tenant_id uuid NOT NULL) PARTITION BY LIST (tenant_id)',
    );
    expect(await db.findings([{ ...db.note, table: 'parted' }])).toContain('RLS004 critical');
  });

  it('a table that no entity declares and the app role has no privilege on leaks nothing yet: a warning', async () => {
    await db.as('migrator', `CREATE TABLE closed (tenant_id uuid NOT NULL)`);
    const severity = async () => (await db.findingsOf('RLS004'))[0]?.severity;
    await expect(db.asTenantA('SELECT * FROM closed')).rejects.toThrow('permission denied');
    expect(await severity()).toBe('warning');
    await db.as('migrator', `GRANT SELECT (tenant_id) ON closed TO ${db.roles.app}`);
    expect(await db.asTenantA('SELECT * FROM closed')).toEqual([]);
    expect(await severity()).toBe('critical');
    await db.as('migrator', 'DROP TABLE closed');
  });
});

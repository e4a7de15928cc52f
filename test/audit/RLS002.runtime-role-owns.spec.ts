import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

describe('RLS002 runtime-role-owns', () => {
  let db: NoteDatabase;

  beforeEach(async () => {
    db = await createNoteDatabase();
  });
  afterEach(() => db.drop());

  it('an app role that owns the table switches isolation off, and is found', async () => {
    const { app, migrator } = db.roles;
    await db.asSuperuser(`ALTER TABLE note OWNER TO ${app}`);
    expect(await db.seenByA()).toEqual(['a']);
    expect(
      await db.as('app', 'ALTER TABLE note DISABLE ROW LEVEL SECURITY; SELECT * FROM note'),
    ).toHaveLength(2);
    await db.asSuperuser('ALTER TABLE note ENABLE ROW LEVEL SECURITY');
    const { findings } = await db.audit();
    expect(findings).toMatchObject([
      { ruleId: 'RLS002', severity: 'critical', object: 'table "public.note"' },
    ]);

    await db.asSuperuser(findings[0]!.fix.replace('<migration role>', migrator));
    await db.asSuperuser(`GRANT SELECT ON note TO ${app}`);
    await expect(db.as('app', 'ALTER TABLE note DISABLE ROW LEVEL SECURITY')).rejects.toThrow(
      'must be owner',
    );
    expect(await db.findings()).toEqual([]);
  });

  it('an app role that owns the schema drops the table, and is found', async () => {
    const { app, migrator } = db.roles;
    await db.asSuperuser(`ALTER SCHEMA public OWNER TO ${app}`);
    await db.as('app', 'BEGIN; DROP TABLE note; ROLLBACK');
    const { findings } = await db.audit();
    expect(findings).toMatchObject([{ ruleId: 'RLS002', object: 'schema "public"' }]);

    await db.asSuperuser(findings[0]!.fix.replace('<migration role>', migrator));
    await db.asSuperuser(`GRANT USAGE ON SCHEMA public TO ${app}`);
    await expect(db.as('app', 'BEGIN; DROP TABLE note; ROLLBACK')).rejects.toThrow('must be owner');
    expect(await db.findings()).toEqual([]);
  });

  it('an app role that owns the database changes what every login sees, and is found', async () => {
    await db.asSuperuser(`ALTER DATABASE ${db.name} OWNER TO ${db.roles.app}`);
    await db.as('app', `ALTER DATABASE ${db.name} SET search_path = public`);
    const { findings } = await db.audit();
    expect(findings).toMatchObject([{ ruleId: 'RLS002', object: `database "${db.name}"` }]);

    await db.asSuperuser(findings[0]!.fix.replace('<migration role>', 'postgres'));
    await expect(db.as('app', `ALTER DATABASE ${db.name} SET search_path = public`)).rejects.toThrow(
      'must be owner',
    );
    expect(await db.findings()).toEqual([]);
  });
});

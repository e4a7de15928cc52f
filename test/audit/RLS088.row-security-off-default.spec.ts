import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

describe('RLS088 row-security-off-default', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  it.each([
    ['the app role', () => `ROLE ${db.roles.app}`, () => `role "${db.roles.app}"`],
    [
      'the app role in the database',
      () => `ROLE ${db.roles.app} IN DATABASE ${db.name}`,
      () => `role "${db.roles.app}"`,
    ],
    ['the database', () => `DATABASE ${db.name}`, () => `database "${db.name}"`],
  ])('off for %s shows no row and fails every statement, and is found', async (_name, target, object) => {
    await db.asSuperuser(`ALTER ${target()} SET row_security = off`);
    await expect(db.seenByA()).rejects.toMatchObject({
      code: '42501',
      message: expect.stringContaining('row-level security'),
    });
    const findings = await db.findingsOf('RLS088');
    // No leak, so that it fails no audit.
    expect(findings).toMatchObject([{ severity: 'info', object: object() }]);

    await db.asSuperuser(findings[0]!.fix);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS088')).toEqual([]);
  });

  it('on, or off for another role, is no finding: migrations fail loudly with it', async () => {
    await db.asSuperuser(
      `ALTER ROLE ${db.roles.app} SET row_security = on; ALTER ROLE ${db.roles.migrator} SET row_security = off`,
    );
    expect(await db.findingsOf('RLS088')).toEqual([]);
  });
});

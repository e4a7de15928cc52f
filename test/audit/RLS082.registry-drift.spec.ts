import { createNoteDatabase, declared, type NoteDatabase } from './audit-support.js';

describe('RLS082 registry-drift', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  it.each(['missing', 'missing_schema.note', 'decoy'])(
    'a table %s that is not there is found',
    async (table) => {
      await db.as(
        'migrator',
        'CREATE SCHEMA IF NOT EXISTS hidden; CREATE TABLE IF NOT EXISTS hidden.decoy (id int)',
      );
      expect((await db.audit([db.note, declared(table)])).findings).toMatchObject([
        {
          ruleId: 'RLS082',
          severity: 'error',
          object: `table "${table}"`,
          message: expect.stringContaining('does not exist'),
        },
      ]);
    },
  );

  it('a view shows every row whatever the policies say, and is found', async () => {
    await db.asSuperuser(
      `CREATE VIEW note_view AS SELECT * FROM note; GRANT SELECT ON note_view TO ${db.roles.app}`,
    );
    expect(await db.asTenantA('SELECT body FROM note_view')).toHaveLength(2);
    expect((await db.audit([declared('note_view')])).findings).toMatchObject([
      { ruleId: 'RLS082', object: 'table "public.note_view"', message: expect.stringContaining('is a view') },
    ]);
  });

  it('a missing tenant column is found', async () => {
    expect(await db.findings([{ ...db.note, tenantColumn: 'org_id' }])).toContain('RLS082 error');
  });

  it('missing columns of a join table and of its sides are found', async () => {
    await db.as('migrator', 'CREATE TABLE note_tags (note_id int)');
    const link = declared('note_tags', {
      kind: 'join-table',
      sides: [
        { table: 'note', tenantColumn: 'org_id', columns: [{ column: 'note_id', referencedColumn: 'uid' }] },
        { table: 'tag', columns: [{ column: 'tag_id', referencedColumn: 'id' }] },
      ],
    });
    const { findings } = await db.audit([link]);
    const drift = findings.filter(({ ruleId }) => ruleId === 'RLS082');
    expect(drift.map(({ object, message }) => `${object}: ${message.split(',')[0]}`)).toEqual([
      'table "note": Column "org_id"',
      'table "note": Column "uid"',
      'table "public.note_tags": Column "tag_id"',
    ]);
  });

  it('a table that is there is no finding', async () => {
    expect(await db.findings()).toEqual([]);
  });
});

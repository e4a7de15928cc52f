import { PROGRESS_TABLE } from '../../libs/rls-tenants/src/backfill/backfill.sql.js';
import { KEY_TABLE } from '../../libs/rls-tenants/src/consolidate/consolidate.sql.js';
import {
  createNoteDatabase,
  declared,
  NOTE_COLUMNS,
  protectSql,
  type NoteDatabase,
} from './audit-support.js';

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

  it('a tenant table that no entity declares is found: what differs in its policy, nothing compares', async () => {
    await db.as('migrator', `CREATE TABLE stray (${NOTE_COLUMNS}); GRANT SELECT ON stray TO ${db.roles.app}`);
    await db.as('migrator', protectSql(declared('stray'), db.roles.admin));
    await db.as('migrator', `DROP POLICY stray_admin_policy ON stray`);
    expect(await db.findingsOf('RLS080')).toEqual([]);
    expect(await db.findingsOf('RLS082')).toMatchObject([
      {
        // It leaks nothing by itself, and fails no audit.
        severity: 'warning',
        object: 'table "public.stray"',
        message: expect.stringContaining('no entity declares it'),
      },
    ]);

    const both = [db.note, declared('stray')];
    expect(await db.findingsOf('RLS080', both)).toMatchObject([{ object: expect.stringContaining('stray') }]);
    expect(await db.findingsOf('RLS082', both)).toEqual([]);
  });

  it('a table that is listed, and those of the library’s own operations, are known', async () => {
    expect(await db.findingsOf('RLS082', [db.note], { tenantTables: ['stray'] })).toEqual([]);
    await db.as('migrator', 'DROP TABLE stray');
    for (const table of [PROGRESS_TABLE, KEY_TABLE])
      await db.as('migrator', `CREATE TABLE ${table} (tenant_id uuid NOT NULL)`);
    expect(await db.findingsOf('RLS082')).toEqual([]);
  });

  it('a start looks at what is declared only, and a table that is there is no finding', async () => {
    await db.as('migrator', `CREATE TABLE stray (${NOTE_COLUMNS})`);
    expect(await db.findings()).toEqual([]);
  });
});

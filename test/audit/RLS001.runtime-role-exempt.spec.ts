import { auditTables } from '../../libs/rls-tenants/src/audit/index.js';
import { createNoteDatabase, withQuery, type NoteDatabase } from './audit-support.js';

describe('RLS001 runtime-role-exempt', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  it.each([
    ['BYPASSRLS', `ALTER ROLE %s BYPASSRLS`, `ALTER ROLE %s NOBYPASSRLS`],
    ['superuser', `ALTER ROLE %s SUPERUSER`, `ALTER ROLE %s NOSUPERUSER`],
  ])('a %s app role sees every row and is found', async (_name, hole, fix) => {
    await db.asSuperuser(hole.replace('%s', db.roles.app));
    expect(await db.seenByA()).toEqual(['a', 'b']);
    const { findings } = await db.audit();
    expect(findings).toMatchObject([
      { ruleId: 'RLS001', severity: 'critical', object: `role "${db.roles.app}"` },
    ]);
    expect(findings[0]!.fix).toContain(fix.replace('%s', `"${db.roles.app}"`));

    await db.asSuperuser(fix.replace('%s', db.roles.app));
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findings()).toEqual([]);
  });

  it('a superuser who set the app role is found, because RESET ROLE returns to him', async () => {
    await withQuery(db.url('superuser'), async (query) => {
      await query(`SET ROLE ${db.roles.app}`);
      const { findings } = await auditTables(query, [db.note], {
        adminRole: db.roles.admin,
        scope: 'declared',
      });
      expect(findings.map(({ ruleId, object }) => `${ruleId} ${object}`)).toEqual([
        'RLS001 role "postgres"',
        'RLS001 role "postgres"',
      ]);

      expect(await query('SELECT body FROM note')).toEqual([]);
      await query('RESET ROLE');
      expect(await query('SELECT body FROM note')).toHaveLength(2);
    });
  });

  it('an ordinary role that set the app role is found', async () => {
    await db.asSuperuser(`GRANT ${db.roles.app} TO ${db.roles.migrator}`);
    await withQuery(db.url('migrator'), async (query) => {
      await query(`SET ROLE ${db.roles.app}`);
      const { findings } = await auditTables(query, [db.note], {
        adminRole: db.roles.admin,
        scope: 'declared',
      });
      expect(findings).toMatchObject([{ ruleId: 'RLS001', message: expect.stringContaining('RESET ROLE') }]);
    });
  });

  it('another role is audited for what it is, whoever asks', async () => {
    const asked = (role: string) => db.audit([db.note], { role }, 'superuser');
    expect((await asked(db.roles.app)).findings).toEqual([]);
    expect((await asked('postgres')).findings).toMatchObject([{ ruleId: 'RLS001' }, { ruleId: 'RLS002' }]);
  });
});

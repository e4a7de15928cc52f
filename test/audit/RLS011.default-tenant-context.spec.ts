import { auditTables } from '../../libs/rls-tenants/src/audit/index.js';
import { createNoteDatabase, withQuery, B, type NoteDatabase } from './audit-support.js';

describe('RLS011 default-tenant-context', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  it.each([
    ['the role', 'ALTER ROLE %app'],
    ['the role in the database', 'ALTER ROLE %app IN DATABASE %db'],
    ['the database', 'ALTER DATABASE %db'],
    ['another spelling', 'ALTER ROLE %app', 'RLS.Current_Tenant'],
  ])(
    'a default tenant of %s is acted for without a context, and is found',
    async (_name, statement, name = 'rls.current_tenant') => {
      const alter = statement.replace('%app', db.roles.app).replace('%db', db.name);
      await db.asSuperuser(`${alter} SET ${name} = '${B}'`);
      expect(await db.as('app', 'SELECT body FROM note')).toEqual([{ body: 'b' }]);
      const { findings } = await db.audit();
      expect(findings).toMatchObject([
        { ruleId: 'RLS011', severity: 'critical', object: 'setting "rls.current_tenant"' },
      ]);

      await db.asSuperuser(findings[0]!.fix);
      expect(await db.as('app', 'SELECT body FROM note')).toEqual([]);
      expect(await db.findings()).toEqual([]);
    },
  );

  it('a default tenant of every role is found', async () => {
    const { findings } = await withQuery(db.url('superuser'), async (query) => {
      await query(`ALTER ROLE ALL SET rls.probe_${db.name} = 'x'`);
      return auditTables(query, [{ ...db.note, tenantSetting: `rls.probe_${db.name}` }], {
        adminRole: db.roles.admin,
        role: db.roles.app,
      });
    });
    const found = findings.find(({ ruleId }) => ruleId === 'RLS011');
    expect(found).toMatchObject({ fix: `ALTER ROLE ALL RESET rls.probe_${db.name};` });
    await db.asSuperuser(found!.fix);
  });

  it('a default tenant in the connection string is found', async () => {
    const url = new URL(db.url('app'));
    url.searchParams.set('options', `-c rls.current_tenant=${B}`);
    await withQuery(url.toString(), async (query) => {
      expect(await query('SELECT body FROM note')).toEqual([{ body: 'b' }]);
      const { findings } = await auditTables(query, [db.note], {
        adminRole: db.roles.admin,
        scope: 'declared',
      });
      expect(findings).toMatchObject([
        { ruleId: 'RLS011', message: expect.stringContaining('A fresh connection') },
      ]);
    });
  });

  it('an empty default, another role and another database are no findings', async () => {
    await db.asSuperuser(
      `ALTER ROLE ${db.roles.app} SET rls.current_tenant = '';
       ALTER ROLE ${db.roles.migrator} SET rls.current_tenant = '${B}';
       ALTER ROLE ${db.roles.app} IN DATABASE postgres SET rls.current_tenant = '${B}'`,
    );
    expect(await db.as('app', 'SELECT body FROM note')).toEqual([]);
    expect(await db.findings()).toEqual([]);
  });
});

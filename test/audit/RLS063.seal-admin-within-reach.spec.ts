import { since16, inheritSql } from '../support/database.js';
import { tenantTablePredicate } from '../../libs/rls-tenants/src/policies/index.js';
import { createSealedNoteDatabase, type SealedNoteDatabase } from './sealed-support.js';

describe('RLS063 seal-admin-within-reach', () => {
  let db: SealedNoteDatabase;

  beforeAll(async () => {
    db = await createSealedNoteDatabase();
  });
  afterAll(() => db.drop());

  const everything = () => db.as('app', `SET ROLE ${db.roles.admin}; SELECT * FROM note`);
  const expectFixed = async () => {
    const { findings } = await db.audit();
    expect(findings).toMatchObject([
      { ruleId: 'RLS063', severity: 'critical', object: `role "${db.roles.app}"` },
    ]);
    await db.asSuperuser(findings[0]!.fix);
    await expect(everything()).rejects.toThrow('permission denied to set role');
    expect(await db.findings()).toEqual([]);
    return findings[0]!.message;
  };

  it('an app role that is no member of the admin role is sound', async () => {
    await expect(everything()).rejects.toThrow('permission denied to set role');
    expect(await db.findings()).toEqual([]);
  });

  it('an app role that may SET ROLE to it, as without a seal it should, is found', async () => {
    await db.asSuperuser(inheritSql(db.roles.app, db.roles.admin, false));
    expect(await everything()).toHaveLength(2);
    expect(await expectFixed()).toContain('may SET ROLE to the admin role');
  });

  since16('through another role, too, such as the login of the admin contexts', async () => {
    const login = `login_${db.roles.app}`;
    await db.asSuperuser(
      `CREATE ROLE ${login}; GRANT ${db.roles.admin} TO ${login}; GRANT ${login} TO ${db.roles.app}`,
    );
    expect(await everything()).toHaveLength(2);
    expect(await db.findings()).toEqual(['RLS063 critical']);
    await db.asSuperuser(`DROP ROLE ${login}`);
    expect(await db.findings()).toEqual([]);
  });

  since16('one that inherits it is found once, and its fix leaves no way to it', async () => {
    await db.asSuperuser(inheritSql(db.roles.app, db.roles.admin, true));
    expect(await expectFixed()).toContain('inherits the admin role');
  });

  it('before the first table is sealed, admin contexts may still need it: a warning', async () => {
    await db.alter(tenantTablePredicate(db.note));
    await db.asSuperuser(inheritSql(db.roles.app, db.roles.admin, false));
    expect(await db.findings()).toEqual(['RLS063 warning', 'RLS064 warning']);
    await db.asSuperuser(`REVOKE ${db.roles.admin} FROM ${db.roles.app}`);
    await db.alter();
    expect(await db.findings()).toEqual([]);
  });
});

import { A } from './audit-support.js';
import { createPolicyDatabase, NOTE_POLICY, TENANT, type PolicyDatabase } from './policy-rules-support.js';

const RAW = `tenant_id = (SELECT current_setting('rls.current_tenant', true)`;

describe('RLS051 empty-string-not-handled', () => {
  let db: PolicyDatabase;

  beforeAll(async () => {
    db = await createPolicyDatabase();
  });
  afterEach(() => db.reset());
  afterAll(() => db.drop());

  const afterUse = (sql: string) =>
    db.as<{ body: string }>('app', `BEGIN; SET LOCAL rls.current_tenant = '${A}'; COMMIT; ${sql}`);

  it('a cast without NULLIF fails on a connection that had a tenant, and is found', async () => {
    await db.alter(`${RAW}::uuid)`);
    expect(await db.as('app', 'SELECT body FROM note')).toEqual([]);
    await expect(afterUse('SELECT body FROM note')).rejects.toThrow('invalid input syntax for type uuid: ""');
    expect(await db.findingsOf('RLS051')).toMatchObject([{ severity: 'error', object: NOTE_POLICY }]);

    await db.applyFix('RLS051');
    expect(await afterUse('SELECT body FROM note')).toEqual([]);
    expect(await db.findingsOf('RLS051')).toEqual([]);
  });

  it('the one-argument form fails in the same way, also within a function', async () => {
    await db.as(
      'migrator',
      `CREATE FUNCTION who() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT current_setting('rls.current_tenant')::uuid $$`,
    );
    await db.alter('tenant_id = public.who()');
    await expect(afterUse('SELECT body FROM note')).rejects.toThrow('invalid input syntax for type uuid: ""');
    expect(await db.findingsOf('RLS051')).toMatchObject([{ object: NOTE_POLICY }]);
  });

  describe('text tenant ids', () => {
    beforeAll(async () => {
      await db.as(
        'migrator',
        `CREATE TABLE doc (tenant_id text NOT NULL, body text);
         ALTER TABLE doc ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY tenants ON doc USING (${RAW}));
         GRANT SELECT ON doc TO ${db.roles.app}`,
      );
      await db.asSuperuser(`INSERT INTO doc VALUES ('', 'not yet assigned'), ('a', 'a')`);
    });
    afterAll(() => db.as('migrator', 'DROP TABLE doc'));

    it("'' = '' shows the rows of the tenant '' to whoever has none, and is found", async () => {
      expect(await afterUse('SELECT body FROM doc')).toEqual([{ body: 'not yet assigned' }]);
      expect(await db.findingsOf('RLS051')).toMatchObject([
        { object: 'policy "tenants" on table "public.doc"' },
      ]);
      expect(await db.findingsOf('RLS008')).toEqual([]);
      await db.applyFix('RLS051');
      expect(await afterUse('SELECT body FROM doc')).toEqual([]);
      expect(await db.findingsOf('RLS051')).toEqual([]);
    });

    it("a check that keeps '' out of the column is enough, once it is validated", async () => {
      await db.asSuperuser(
        "BEGIN; ALTER POLICY tenants ON doc USING (tenant_id = current_setting('rls.current_tenant', true)); COMMIT",
      );
      await db.as('migrator', `ALTER TABLE doc ADD CONSTRAINT named CHECK (tenant_id <> '') NOT VALID`);
      expect(await afterUse('SELECT body FROM doc')).toEqual([{ body: 'not yet assigned' }]);
      expect(await db.findingsOf('RLS051')).toHaveLength(1);

      await db.asSuperuser(`DELETE FROM doc WHERE tenant_id = ''; ALTER TABLE doc VALIDATE CONSTRAINT named`);
      expect(await afterUse('SELECT body FROM doc')).toEqual([]);
      expect(await db.findingsOf('RLS051')).toEqual([]);
    });
  });

  it.each([
    ['NULLIF', TENANT],
    ['a cast of the column', `tenant_id::text = current_setting('rls.current_tenant', true)`],
  ])('%s reads no row and fails nothing, and is no finding', async (_name, using) => {
    await db.alter(using);
    expect(await afterUse('SELECT body FROM note')).toEqual([]);
    expect(await db.findingsOf('RLS051')).toEqual([]);
  });
});

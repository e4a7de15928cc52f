import { DataSource } from 'typeorm';
import pg from 'pg';
import { formatFindings, verifyIsolation } from '../../libs/rls-tenants/src/audit/index.js';
import { NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

describe('verifyIsolation', () => {
  let db: ProtectedDatabase;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
  });
  afterAll(() => db.drop());

  const verify = (dataSource: DataSource) => verifyIsolation(dataSource, { adminRole: db.roles.admin });

  it('finds nothing where it is safe to start, isolated or not', async () => {
    expect(await verify(await db.plain())).toEqual([]);
    expect(await verify(await db.isolated())).toEqual([]);
  });

  it('says of each hole what to run', async () => {
    await db.as(
      'migrator',
      'ALTER TABLE note NO FORCE ROW LEVEL SECURITY; DROP POLICY tag_admin_policy ON tag',
    );
    const findings = await verify(await db.plain());
    expect(formatFindings(findings)).toBe(
      [
        'RLS005 rls-not-forced (error) table "public.note"',
        `  Row-level security is not forced: "${db.roles.migrator}", its views and its SECURITY DEFINER functions see every row.`,
        '  Fix: ALTER TABLE "public"."note" ENABLE ROW LEVEL SECURITY;',
        '       ALTER TABLE "public"."note" FORCE ROW LEVEL SECURITY;',
        'RLS080 policy-drift (error) policy "tag_admin_policy" on table "public.tag"',
        `  It does not exist. Expected: USING (true) for ALL, to ${db.roles.admin}.`,
        `  Fix: CREATE POLICY "tag_admin_policy" ON "public"."tag" TO "${db.roles.admin}" USING (true) WITH CHECK (true);`,
      ].join('\n'),
    );
    for (const { fix } of findings) await db.as('migrator', fix);
    expect(await verify(await db.plain())).toEqual([]);
  });

  it('looks at the login of a replica, too', async () => {
    const replicated = new DataSource({
      type: 'postgres',
      entities: NOTES,
      replication: { master: { url: db.url('app') }, slaves: [{ url: db.url('migrator') }] },
    });
    await replicated.initialize();
    const findings = await verify(replicated);
    await replicated.destroy();
    expect(findings).toMatchObject(
      expect.arrayContaining([
        expect.objectContaining({
          ruleId: 'RLS002',
          message: expect.stringContaining(`"${db.roles.migrator}" owns`),
        }),
        expect.objectContaining({ ruleId: 'RLS003', object: `role "${db.roles.migrator}"` }),
      ]),
    );
  });

  it('checks the role where no entity is tenant-scoped', async () => {
    expect(await verify(await db.plain({ entities: [] }))).toEqual([]);
    expect(await verify(await db.plain({ entities: [], url: db.url() }))).toMatchObject([
      { ruleId: 'RLS001' },
      { ruleId: 'RLS002' },
    ]);
  });

  describe('the driver', () => {
    /** pg-native's shape: a client without `connection`. */
    class NativeClient {
      readonly native = {};
    }

    it('pg-native is refused without asking the database', async () => {
      const dataSource = await db.plain();
      const { driver } = dataSource as unknown as { driver: { postgres: unknown } };
      driver.postgres = { ...pg, Client: NativeClient };
      await db.asSuperuser(`ALTER ROLE ${db.roles.app} BYPASSRLS`);
      const findings = await verify(dataSource);
      await db.asSuperuser(`ALTER ROLE ${db.roles.app} NOBYPASSRLS`);
      expect(findings).toMatchObject([
        { ruleId: 'RLS091', severity: 'critical', fix: expect.stringContaining('npm uninstall pg-native') },
      ]);
    });

    it('TypeORM takes a native driver wherever it finds one, and it is refused', async () => {
      const dataSource = new DataSource({
        type: 'postgres',
        driver: { ...pg, native: { ...pg, Client: NativeClient } },
        nativeDriver: {},
      });
      expect(await verify(dataSource)).toMatchObject([{ ruleId: 'RLS091' }]);
    });

    it('a driver that cannot even be asked is refused', async () => {
      const dataSource = new DataSource({ type: 'postgres', driver: { ...pg, Client: undefined } });
      expect(await verify(dataSource)).toMatchObject([{ ruleId: 'RLS091' }]);
    });

    it('another database is refused', async () => {
      const dataSource = await db.plain();
      Object.assign(dataSource.options, { type: 'cockroachdb' });
      expect(await verify(dataSource)).toMatchObject([{ ruleId: 'RLS090', severity: 'critical' }]);
    });
  });
});

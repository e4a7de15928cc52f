import { DataSource } from 'typeorm';
import { examineDatabase, type AuditReport } from '../../libs/rls-tenants/src/audit/index.js';
import { probeIsolation, type ProbeOptions } from '../../libs/rls-tenants/src/audit/probe/index.js';
import { checkRls } from '../../libs/rls-tenants/src/cli/check-rls.js';
import { upgradeSeal } from '../../libs/rls-tenants/src/migrations/index.js';
import { tenantTablePredicate } from '../../libs/rls-tenants/src/policies/index.js';
import { A, B } from '../audit/audit-support.js';
import { dumpOf, probeFindings, probeLeaks } from '../audit/probe-support.js';
import { createSealedNoteDatabase, type SealedNoteDatabase } from '../audit/sealed-support.js';
import { newSealKey } from '../support/sealed-database.js';

describe('probing a sealed schema', () => {
  let db: SealedNoteDatabase;

  beforeAll(async () => {
    db = await createSealedNoteDatabase();
  });
  afterAll(() => db.drop());

  const probe = async (options: ProbeOptions = {}): Promise<AuditReport> => {
    const dataSource = await new DataSource({ type: 'postgres', url: db.url('app') }).initialize();
    try {
      const examination = await examineDatabase(dataSource, { adminRole: db.roles.admin });
      return await probeIsolation(dataSource, examination, { tenants: [A, B], ...options });
    } finally {
      await dataSource.destroy();
    }
  };
  const withKeys = (mode: 'read' | 'write' = 'read') => probe({ mode, sealKeys: [db.key] });
  const NOTE = 'table "public.note"';

  it.each(['read', 'write'] as const)(
    'with a key it probes as the application does (%s), and all holds',
    async (mode) => {
      const before = await dumpOf(db);
      const report = await withKeys(mode);
      expect(probeFindings(report)).toEqual([]);
      expect(report.probe!.tenants).toBe(2);
      expect(report.probe!.probed.find(({ object }) => object === NOTE)!.probes).toBeGreaterThan(
        mode === 'read' ? 8 : 15,
      );
      expect(await dumpOf(db)).toEqual(before);
    },
  );

  it('without one it says that the table was not probed, and tries what needs none', async () => {
    const report = await probe();
    expect(probeFindings(report)).toEqual([`PRB022 ${NOTE}`]);
    expect(report.findings.find(({ ruleId }) => ruleId === 'PRB022')!.message).toContain('RLS_SEAL_KEYS');
  });

  it('a key that the database does not have shows nobody anything: inconclusive, and no pass', async () => {
    const report = await probe({ sealKeys: [newSealKey('other')] });
    expect(report.probe!.inconclusive).toContainEqual({
      object: NOTE,
      ruleId: 'PRB003',
      reason: expect.stringContaining('no row of a tenant is known'),
    });
  });

  it('finds a verifying function that takes the setting without a seal, with and without keys', async () => {
    await db.as(
      'migrator',
      `CREATE OR REPLACE FUNCTION rls.current_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL RESTRICTED SECURITY DEFINER
         SET search_path = pg_catalog, pg_temp AS $$ SELECT NULLIF(current_setting('rls.current_tenant', true), '') $$`,
    );
    expect(probeLeaks(await withKeys())).toEqual([`PRB012 ${NOTE}`]);
    const report = await probe();
    expect(probeLeaks(report)).toEqual([`PRB012 ${NOTE}`]);
    expect(report.findings.find(({ ruleId }) => ruleId === 'PRB012')!.message).toBe(
      'The app role reads rows of a tenant that it set without a seal. In the catalog: RLS061.',
    );
    await db.migrate(upgradeSeal());
  });

  it('finds a plain policy beside the sealed one', async () => {
    const plain = tenantTablePredicate(db.note);
    await db.as('migrator', `CREATE POLICY zz_extra ON note USING (${plain}) WITH CHECK (${plain})`);
    expect(probeLeaks(await withKeys())).toEqual([`PRB012 ${NOTE}`]);
    await db.as('migrator', 'DROP POLICY zz_extra ON note');
  });

  it('finds what shows every tenant’s rows, sealed or not', async () => {
    await db.as('migrator', `CREATE POLICY zz_extra ON note FOR SELECT USING (true)`);
    const leaks = probeLeaks(await withKeys());
    for (const id of ['PRB001', 'PRB002', 'PRB003']) expect(leaks).toContain(`${id} ${NOTE}`);
    await db.as('migrator', 'DROP POLICY zz_extra ON note');
  });

  it('check-rls takes the keys of the environment, and shows none of them', async () => {
    const secret = Buffer.from(db.key.secret).toString('base64');
    process.env.RLS_SEAL_KEYS = `first:${secret}`;
    const texts: string[] = [];
    const write = (text: string) => void texts.push(text);
    try {
      const code = await checkRls(
        () => Promise.resolve(new DataSource({ type: 'postgres', url: db.url('app') })),
        {
          url: db.url('app'),
          adminRole: db.roles.admin,
          probe: 'read',
          probeTenants: [A, B],
          format: 'json',
          minSeverity: 'warning',
        },
        { out: write, err: write, colors: false },
      );
      expect(code).toBe(0);
    } finally {
      delete process.env.RLS_SEAL_KEYS;
    }
    const text = texts.join('');
    expect(text).toContain('"probe"');
    expect(text).not.toContain('RLS_SEAL_KEYS');
    expect(text).not.toContain(secret);
    expect(text).not.toContain(B);
  });
});

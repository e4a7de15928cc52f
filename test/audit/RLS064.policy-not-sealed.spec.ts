import { tenantTablePredicate } from '../../libs/rls-tenants/src/policies/index.js';
import { judgeReport, parseConfiguration } from '../../libs/rls-tenants/src/audit/index.js';
import { B } from './audit-support.js';
import { createSealedNoteDatabase, type SealedNoteDatabase } from './sealed-support.js';

const POLICY = 'policy "note_tenant_isolation_policy" on table "public.note"';

describe('RLS064 policy-not-sealed', () => {
  let db: SealedNoteDatabase;

  beforeAll(async () => {
    db = await createSealedNoteDatabase();
  });
  afterAll(() => db.drop());

  const forge = () =>
    db.as<{ body: string }>('app', `SET rls.current_tenant = '${B}'; SELECT body FROM note`);

  it('a sealed policy is sound', async () => {
    await expect(forge()).rejects.toThrow('Seal refused');
    expect(await db.findings()).toEqual([]);
  });

  it('a plain one beside an installed seal is a warning, and its fix seals it', async () => {
    await db.alter(tenantTablePredicate(db.note));
    expect(await forge()).toEqual([{ body: 'b' }]);
    const { findings } = await db.audit();
    expect(findings).toMatchObject([{ ruleId: 'RLS064', severity: 'warning', object: POLICY }]);

    await db.as('migrator', findings[0]!.fix);
    await expect(forge()).rejects.toThrow('Seal refused');
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findings()).toEqual([]);
  });

  it('the allow list takes it for as long as the move lasts', async () => {
    await db.alter(tenantTablePredicate(db.note));
    const configuration = parseConfiguration(
      JSON.stringify({
        allow: [{ rule: 'RLS064', object: POLICY, reason: 'moves next week', expires: '2999-01-01' }],
      }),
      'rls-tenants.config.json',
      new Set(['RLS064']),
    );
    const judged = judgeReport(await db.audit(), { configuration });
    expect(judged.findings).toEqual([]);
    expect(judged.accepted).toHaveLength(1);
    await db.alter();
  });

  it('a plain policy beside a sealed one of the same table is an error: it admits whoever sets the setting', async () => {
    await db.as(
      'migrator',
      `CREATE POLICY zz_extra ON note USING (${tenantTablePredicate(db.note)}) WITH CHECK (${tenantTablePredicate(db.note)})`,
    );
    // The sealed one is not asked about the rows that this one admits.
    const attack = () =>
      db.as<{ body: string }>(
        'app',
        `SET rls.current_tenant = '${B}'; SELECT body FROM note WHERE tenant_id = '${B}'`,
      );
    expect(await attack()).toEqual([{ body: 'b' }]);
    const findings = (await db.audit()).findings.filter(({ ruleId }) => ruleId === 'RLS064');
    expect(findings).toMatchObject([
      { severity: 'error', object: 'policy "zz_extra" on table "public.note"' },
    ]);
    await db.as('migrator', findings[0]!.fix);
    await expect(attack()).rejects.toThrow('Seal refused');
    expect((await db.findings()).filter((one) => one.startsWith('RLS064'))).toEqual([]);
    await db.as('migrator', 'DROP POLICY zz_extra ON note');
    expect(await db.findings()).toEqual([]);
  });

  it('a partition, which has policies of its own, is found', async () => {
    const plain = tenantTablePredicate(db.note);
    await db.as(
      'migrator',
      `CREATE TABLE event (id int NOT NULL, tenant_id uuid NOT NULL, PRIMARY KEY (tenant_id, id)) PARTITION BY HASH (tenant_id);
       CREATE TABLE event_0 PARTITION OF event FOR VALUES WITH (MODULUS 1, REMAINDER 0);
       ALTER TABLE event ENABLE ROW LEVEL SECURITY; ALTER TABLE event FORCE ROW LEVEL SECURITY;
       ALTER TABLE event_0 ENABLE ROW LEVEL SECURITY; ALTER TABLE event_0 FORCE ROW LEVEL SECURITY;
       CREATE POLICY event_tenant_isolation_policy ON event USING (${tenantTablePredicate({ ...db.note, sealed: true })});
       CREATE POLICY event_0_tenant_isolation_policy ON event_0 USING (${plain})`,
    );
    const findings = await db.findingsOf('RLS064');
    expect(findings.map(({ object }) => object)).toEqual([
      'policy "event_0_tenant_isolation_policy" on table "public.event_0"',
    ]);
    await db.as('migrator', findings[0]!.fix);
    expect(await db.findingsOf('RLS064')).toEqual([]);
    await db.as('migrator', 'DROP TABLE event');
  });
});

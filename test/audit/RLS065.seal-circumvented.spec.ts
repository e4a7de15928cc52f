import { sealedTenantSql, tenantTablePredicate } from '../../libs/rls-tenants/src/policies/index.js';
import { A, B } from './audit-support.js';
import { createSealedNoteDatabase, type SealedNoteDatabase } from './sealed-support.js';

const SEALED = sealedTenantSql('uuid');

describe('RLS065 seal-circumvented', () => {
  let db: SealedNoteDatabase;
  let plain: string;

  beforeAll(async () => {
    db = await createSealedNoteDatabase();
    plain = tenantTablePredicate(db.note);
    await db.asSuperuser(`INSERT INTO note VALUES (3, '${B}', 'b')`);
  });
  afterAll(() => db.drop());

  /** Tenant A's statement sets a setting half-way, after PostgreSQL has verified the seal. */
  const attack = (condition: string) =>
    db
      .asTenantA<{ body: string }>(
        `SET my.tenant = '${A}'; SET enable_indexscan = off; SET enable_bitmapscan = off;
         SELECT body, set_config('my.tenant', '${B}', true), set_config('rls.current_tenant', '${B}', true) FROM note WHERE ${condition}`,
      )
      .then((rows) => rows.map(({ body }) => body));
  const expectFixed = async (condition: string) => {
    expect(await attack(condition)).toEqual(['a', 'b', 'b']);
    const findings = (await db.audit()).findings.filter(({ ruleId }) => ruleId === 'RLS065');
    expect(findings).toMatchObject([
      { severity: 'critical', object: 'policy "note_tenant_isolation_policy" on table "public.note"' },
    ]);
    await db.as('migrator', findings[0]!.fix);
    expect(await attack(condition)).toEqual(['a']);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findings()).toEqual([]);
    return findings[0]!.message;
  };
  const OWN_CONDITION = `tenant_id = current_setting('my.tenant')::uuid`;

  it('the library’s policy is sound', async () => {
    expect(await attack(OWN_CONDITION)).toEqual(['a']);
    expect(await attack('true')).toEqual(['a']);
    expect(await db.findings()).toEqual([]);
  });

  it('a seal that is compared by plain equality is found: a condition of the statement’s own takes its place', async () => {
    await db.alter(`tenant_id = ${SEALED}`);
    expect(await expectFixed(OWN_CONDITION)).toContain('plain equality');
  });

  it('without a sub-select as well', async () => {
    await db.alter('tenant_id = rls.current_tenant()::uuid');
    expect(await db.findings()).toContain('RLS065 critical');
    await db.alter();
  });

  it('a comparison with the plain setting beside it, for the sake of a plan, is found', async () => {
    await db.alter(`tenant_id = ${SEALED} AND ${plain}`);
    expect(await expectFixed('true')).toContain('plain setting');
  });

  it('an OR with the plain setting is found', async () => {
    await db.alter(`(rls.current_tenant() IS NULL) OR ${plain}`);
    expect(await db.findings()).toContain('RLS065 critical');
    await db.alter();
  });

  it('a further condition beside the library’s adds nothing that could be circumvented', async () => {
    await db.alter(`${tenantTablePredicate({ ...db.note, sealed: true })} AND ${plain}`);
    expect(await attack('true')).toEqual(['a']);
    expect((await db.findings()).filter((one) => one.startsWith('RLS065'))).toEqual([]);
    await db.alter();
  });

  it('a function called for each row verifies each time: slow, which RLS070 says, and sound', async () => {
    await db.alter('tenant_id = ANY (ARRAY[rls.current_tenant()::uuid])');
    await expect(attack(OWN_CONDITION)).rejects.toThrow('Seal refused');
    expect((await db.findings()).filter((one) => one.startsWith('RLS065'))).toEqual([]);
    expect(await db.findingsOf('RLS070')).toHaveLength(1);
    await db.alter();
  });
});

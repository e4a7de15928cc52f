import { B } from './audit-support.js';
import { createPolicyDatabase, NOTE_POLICY, TENANT, type PolicyDatabase } from './policy-rules-support.js';

const OTHER = TENANT.replace('rls.current_tenant', 'app.current_tenant');

describe('RLS050 guc-name-mismatch', () => {
  let db: PolicyDatabase;

  beforeAll(async () => {
    db = await createPolicyDatabase();
  });
  afterEach(() => db.reset());
  afterAll(() => db.drop());

  it('another setting shows nothing, or the rows of the tenant that was left in it, and is found', async () => {
    await db.alter(OTHER, OTHER);
    expect(await db.seenByA()).toEqual([]);
    expect(await db.asTenantA(`SET app.current_tenant = '${B}'; SELECT body FROM note`)).toEqual([
      { body: 'b' },
    ]);
    const findings = await db.findingsOf('RLS050');
    expect(findings).toMatchObject([{ severity: 'critical', object: NOTE_POLICY }]);
    expect(findings[0]!.message).toContain('app.current_tenant');
    // It is the tenant's name that is wrong, and not a flag.
    expect(await db.findingsOf('RLS028')).toEqual([]);

    await db.applyFix('RLS050');
    expect(await db.asTenantA(`SET app.current_tenant = '${B}'; SELECT body FROM note`)).toEqual([
      { body: 'a' },
    ]);
    expect(await db.findingsOf('RLS050')).toEqual([]);
  });

  it.each(['sql', 'plpgsql'])('another setting that a function in %s reads is found', async (language) => {
    const read = `NULLIF(pg_catalog.current_setting('app.current_tenant', true), '')::uuid`;
    const body = language === 'sql' ? `SELECT ${read}` : `BEGIN RETURN ${read}; END`;
    await db.as(
      'migrator',
      `CREATE OR REPLACE FUNCTION who() RETURNS uuid LANGUAGE ${language} STABLE AS $$ ${body} $$`,
    );
    await db.alter('tenant_id = public.who()');
    expect(await db.asTenantA(`SET app.current_tenant = '${B}'; SELECT body FROM note`)).toEqual([
      { body: 'b' },
    ]);
    expect(await db.findingsOf('RLS050')).toMatchObject([{ object: NOTE_POLICY }]);
    await db.applyFix('RLS050');
    expect(await db.asTenantA(`SET app.current_tenant = '${B}'; SELECT body FROM note`)).toEqual([
      { body: 'a' },
    ]);
    expect(await db.findingsOf('RLS050')).toEqual([]);
  });

  it('a name without a dot is no custom setting: it can be read, never set', async () => {
    await db.alter(TENANT.replace('rls.current_tenant', 'current_tenant'));
    await expect(db.as('app', `SET current_tenant = '${B}'`)).rejects.toThrow(
      'unrecognized configuration parameter',
    );
    const findings = await db.findingsOf('RLS050');
    expect(findings).toHaveLength(1);
    expect(findings[0]!.message).toContain('without a dot');
  });

  it('the same name in other letters is the same setting, and one that is only named in a comment is not read', async () => {
    await db.alter(TENANT.replace('rls.current_tenant', 'RLS.Current_Tenant'));
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS050')).toEqual([]);
    await db.as(
      'migrator',
      `CREATE OR REPLACE FUNCTION who() RETURNS uuid LANGUAGE sql STABLE AS $$
         /* not current_setting('app.current_tenant') */ SELECT NULLIF(current_setting('rls.current_tenant', true), '')::uuid $$`,
    );
    await db.alter('tenant_id = public.who()');
    expect(await db.findingsOf('RLS050')).toEqual([]);
  });
});

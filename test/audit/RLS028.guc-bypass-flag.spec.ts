import { createPolicyDatabase, NOTE_POLICY, TENANT, type PolicyDatabase } from './policy-rules-support.js';

describe('RLS028 guc-bypass-flag', () => {
  let db: PolicyDatabase;

  beforeAll(async () => {
    db = await createPolicyDatabase();
  });
  afterEach(() => db.reset());
  afterAll(() => db.drop());

  const seenWith = async (setting: string, value: string) =>
    (
      await db.asTenantA<{ body: string }>(`SET ${setting} = '${value}'; SELECT body FROM note ORDER BY id`)
    ).map(({ body }) => body);

  it.each([
    ['OR', `${TENANT} OR current_setting('app.bypass', true) = 'on'`, 'app.bypass'],
    [
      'CASE',
      `CASE WHEN current_setting('app.bypass', true) = 'on' THEN true ELSE ${TENANT} END`,
      'app.bypass',
    ],
    [
      'a boolean',
      `${TENANT} OR COALESCE(NULLIF(current_setting('app.is_admin', true), ''), 'off')::boolean`,
      'app.is_admin',
    ],
    [
      'a setting of PostgreSQL’s own',
      `${TENANT} OR current_setting('application_name') = 'on'`,
      'application_name',
    ],
  ])('%s opens for whoever sets the flag, and is found', async (_name, using, setting) => {
    await db.alter(using);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await seenWith(setting, 'on')).toEqual(['a', 'b']);
    const findings = await db.findingsOf('RLS028');
    expect(findings).toMatchObject([{ severity: 'error', object: NOTE_POLICY }]);
    expect(findings[0]!.message).toContain(setting);
    // Unless the flag is set the policy holds: these rules have nothing to say.
    expect(await db.findingsOf('RLS007')).toEqual([]);
    expect(await db.findingsOf('RLS008')).toEqual([]);

    await db.applyFix('RLS028');
    expect(await seenWith(setting, 'on')).toEqual(['a']);
    expect(await db.findingsOf('RLS028')).toEqual([]);
  });

  it('a flag that a function reads is found', async () => {
    await db.as(
      'migrator',
      `CREATE FUNCTION bypass() RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT current_setting('app.bypass', true) = 'on' $$`,
    );
    await db.alter(`${TENANT} OR public.bypass()`);
    expect(await seenWith('app.bypass', 'on')).toEqual(['a', 'b']);
    expect(await db.findingsOf('RLS028')).toMatchObject([{ object: NOTE_POLICY }]);
    await db.applyFix('RLS028');
    expect(await seenWith('app.bypass', 'on')).toEqual(['a']);
    expect(await db.findingsOf('RLS028')).toEqual([]);
  });

  it('a setting that only narrows within the tenant opens nothing and is no finding', async () => {
    await db.alter(`${TENANT} AND body = current_setting('app.body', true)`);
    expect(await seenWith('app.body', 'b')).toEqual([]);
    expect(await db.findingsOf('RLS028')).toEqual([]);
  });

  it('the role is no flag: PostgreSQL lets only members set it', async () => {
    await db.alter(`${TENANT} OR current_setting('role') = 'postgres'`);
    await expect(seenWith('role', 'postgres')).rejects.toThrow('permission denied');
    expect(await db.findingsOf('RLS028')).toEqual([]);
  });
});

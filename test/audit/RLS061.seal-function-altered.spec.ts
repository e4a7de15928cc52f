import { upgradeSeal } from '../../libs/rls-tenants/src/migrations/index.js';
import { B } from './audit-support.js';
import { createSealedNoteDatabase, type SealedNoteDatabase } from './sealed-support.js';

describe('RLS061 seal-function-altered', () => {
  let db: SealedNoteDatabase;

  beforeAll(async () => {
    db = await createSealedNoteDatabase();
  });
  afterAll(() => db.drop());

  /** What any statement can do. */
  const forge = () =>
    db.as<{ body: string }>('app', `SET rls.current_tenant = '${B}'; SELECT body FROM note`);
  const found = async (severity = 'critical') => {
    const { findings } = await db.audit();
    expect(findings).toMatchObject([
      { ruleId: 'RLS061', severity, object: 'function "rls.current_tenant()"' },
    ]);
    return findings[0]!;
  };
  const expectUpgraded = async () => {
    expect((await found()).fix).toContain('upgradeSeal()');
    await db.migrate(upgradeSeal());
    expect(await db.findings()).toEqual([]);
    expect(await db.seenByA()).toEqual(['a']);
    await expect(forge()).rejects.toThrow('Seal refused');
  };

  it('the functions as the library makes them are sound, and no rule about functions finds them', async () => {
    await expect(forge()).rejects.toThrow('Seal refused');
    expect(await db.findings()).toEqual([]);
    for (const rule of ['RLS022', 'RLS023', 'RLS033', 'RLS034', 'RLS070', 'RLS074'])
      expect(await db.findingsOf(rule)).toEqual([]);
  });

  it('a function that takes the setting without a seal is found', async () => {
    await db.as(
      'migrator',
      `CREATE OR REPLACE FUNCTION rls.current_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
         SET search_path = pg_catalog, pg_temp AS $$ SELECT NULLIF(current_setting('rls.current_tenant', true), '') $$`,
    );
    expect(await forge()).toEqual([{ body: 'b' }]);
    expect((await found()).message).toContain('its body is not the library’s');
    // Its fix is this rule's: SECURITY INVOKER would be the next flaw.
    expect(await db.findingsOf('RLS022')).toEqual([]);
    await expectUpgraded();
  });

  it('one whose names the session resolves is found', async () => {
    await db.as('migrator', 'ALTER FUNCTION rls.current_tenant() RESET search_path');
    expect((await found()).message).toContain('search path');
    await expectUpgraded();
  });

  it('one that runs as its caller is found: the caller would have to read the keys', async () => {
    await db.as('migrator', 'ALTER FUNCTION rls.current_tenant() SECURITY INVOKER');
    await expect(db.seenByA()).rejects.toThrow('permission denied for table seal_key');
    await expectUpgraded();
  });

  it.each([
    ['IMMUTABLE', 'critical', 'STABLE'],
    ['PARALLEL SAFE', 'warning', 'PARALLEL RESTRICTED'],
    ['PARALLEL UNSAFE', 'warning', 'PARALLEL RESTRICTED'],
  ])('one that is %s is found, as %s', async (attribute, severity, right) => {
    await db.as('migrator', `ALTER FUNCTION rls.current_tenant() ${attribute}`);
    expect((await found(severity)).message).toContain(`not ${right}`);
    await db.as('migrator', `ALTER FUNCTION rls.current_tenant() ${right}`);
    expect(await db.findings()).toEqual([]);
  });

  it('one that is LEAKPROOF is found', async () => {
    await db.asSuperuser('ALTER FUNCTION rls.current_tenant() LEAKPROOF');
    expect((await found()).message).toContain('LEAKPROOF');
    await db.asSuperuser('ALTER FUNCTION rls.current_tenant() NOT LEAKPROOF');
  });

  it('one of another version of the library is a warning: applications are upgraded one after the other', async () => {
    await db.as(
      'migrator',
      `DO $$ BEGIN EXECUTE replace(pg_get_functiondef('rls.current_tenant()'::regprocedure), 'DECLARE', 'DECLARE -- of old'); END $$;
       COMMENT ON FUNCTION rls.current_tenant() IS 'nestjs-rls-tenants: tenant seal, version 0'`,
    );
    expect((await found('warning')).message).toContain('version 0');
    await db.migrate(upgradeSeal());
    expect(await db.findings()).toEqual([]);
  });

  it('an app role that may not call it, or may not look into its schema, is found', async () => {
    const { app } = db.roles;
    await db.as(
      'migrator',
      `REVOKE EXECUTE ON FUNCTION rls.current_tenant() FROM ${app}; REVOKE USAGE ON SCHEMA rls FROM ${app}`,
    );
    await expect(db.seenByA()).rejects.toThrow('permission denied');
    const { findings } = await db.audit();
    expect(findings.map(({ severity, object }) => `${severity} ${object}`)).toEqual([
      'error schema "rls"',
      'error function "rls.current_tenant()"',
    ]);
    await db.as('migrator', findings.map(({ fix }) => fix).join('\n'));
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findings()).toEqual([]);
  });

  it('without its table of keys no seal is genuine, and that is found', async () => {
    await db.as('migrator', 'ALTER TABLE rls.seal_key RENAME TO gone');
    await expect(db.seenByA()).rejects.toThrow();
    expect((await db.audit()).findings).toMatchObject([{ ruleId: 'RLS061', object: 'table "rls.seal_key"' }]);
    await db.as('migrator', 'ALTER TABLE rls.gone RENAME TO seal_key');
    expect(await db.findings()).toEqual([]);
  });

  it('a helper of somebody’s with the same name, and nothing else of a seal, is none', async () => {
    const [catalog] = await db.asSuperuser<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_namespace WHERE nspname = 'acme'`,
    );
    expect(catalog).toEqual({ n: 0 });
    await db.as(
      'migrator',
      `CREATE SCHEMA acme; CREATE FUNCTION acme.tenant() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('acme.tenant', true) $$`,
    );
    expect(await db.findings([{ ...db.note, tenantSetting: 'acme.tenant' }])).not.toContain(
      'RLS061 critical',
    );
    await db.as('migrator', 'DROP SCHEMA acme CASCADE');
  });
});

import { B, createNoteDatabase, type NoteDatabase } from './audit-support.js';

describe('RLS002 runtime-role-owns', () => {
  let db: NoteDatabase;

  beforeEach(async () => {
    db = await createNoteDatabase();
  });
  afterEach(() => db.drop());

  it('an app role that owns the table switches isolation off, and is found', async () => {
    const { app, migrator } = db.roles;
    await db.asSuperuser(`ALTER TABLE note OWNER TO ${app}`);
    expect(await db.seenByA()).toEqual(['a']);
    expect(
      await db.as('app', 'ALTER TABLE note DISABLE ROW LEVEL SECURITY; SELECT * FROM note'),
    ).toHaveLength(2);
    await db.asSuperuser('ALTER TABLE note ENABLE ROW LEVEL SECURITY');
    const { findings } = await db.audit();
    expect(findings).toMatchObject([
      { ruleId: 'RLS002', severity: 'critical', object: 'table "public.note"' },
    ]);

    await db.asSuperuser(findings[0]!.fix.replace('<migration role>', migrator));
    await db.asSuperuser(`GRANT SELECT ON note TO ${app}`);
    await expect(db.as('app', 'ALTER TABLE note DISABLE ROW LEVEL SECURITY')).rejects.toThrow(
      'must be owner',
    );
    expect(await db.findings()).toEqual([]);
  });

  it('an app role that owns the schema drops the table, and is found', async () => {
    const { app, migrator } = db.roles;
    await db.asSuperuser(`ALTER SCHEMA public OWNER TO ${app}`);
    await db.as('app', 'BEGIN; DROP TABLE note; ROLLBACK');
    const { findings } = await db.audit();
    expect(findings).toMatchObject([{ ruleId: 'RLS002', object: 'schema "public"' }]);

    await db.asSuperuser(findings[0]!.fix.replace('<migration role>', migrator));
    await db.asSuperuser(`GRANT USAGE ON SCHEMA public TO ${app}`);
    await expect(db.as('app', 'BEGIN; DROP TABLE note; ROLLBACK')).rejects.toThrow('must be owner');
    expect(await db.findings()).toEqual([]);
  });

  it('an app role that owns the database changes what every login sees, and is found', async () => {
    await db.asSuperuser(`ALTER DATABASE ${db.name} OWNER TO ${db.roles.app}`);
    await db.as('app', `ALTER DATABASE ${db.name} SET search_path = public`);
    const { findings } = await db.audit();
    expect(findings).toMatchObject([{ ruleId: 'RLS002', object: `database "${db.name}"` }]);

    await db.asSuperuser(findings[0]!.fix.replace('<migration role>', 'postgres'));
    await expect(db.as('app', `ALTER DATABASE ${db.name} SET search_path = public`)).rejects.toThrow(
      'must be owner',
    );
    expect(await db.findings()).toEqual([]);
  });

  it('an app role that owns a function which a policy calls decides what the policy says, and is found', async () => {
    const { app, migrator } = db.roles;
    await db.as(
      'migrator',
      `CREATE FUNCTION tenant() RETURNS uuid STABLE LANGUAGE sql AS $$ SELECT NULLIF(current_setting('rls.current_tenant', true), '')::uuid $$;
       CREATE FUNCTION current_tenant() RETURNS uuid STABLE LANGUAGE sql AS 'SELECT tenant()';
       ALTER POLICY note_tenant_isolation_policy ON note USING (tenant_id = (SELECT current_tenant()))`,
    );
    expect(await db.findingsOf('RLS002')).toEqual([]);
    await db.asSuperuser(`ALTER FUNCTION tenant() OWNER TO ${app}; GRANT CREATE ON SCHEMA public TO ${app}`);
    const take = `CREATE OR REPLACE FUNCTION tenant() RETURNS uuid STABLE LANGUAGE sql AS $$ SELECT '${B}'::uuid $$`;
    expect(await db.as('app', `BEGIN; ${take}; SELECT body FROM note`)).toEqual([{ body: 'b' }]);
    const findings = await db.findingsOf('RLS002');
    expect(findings).toMatchObject([
      { ruleId: 'RLS002', severity: 'critical', object: 'function "public.tenant()"' },
    ]);

    await db.asSuperuser(findings[0]!.fix.replace('<migration role>', migrator));
    await expect(db.as('app', take)).rejects.toThrow('must be owner');
    expect(await db.findingsOf('RLS002')).toEqual([]);
  });

  it('an app role that owns a trigger’s function runs code in the writes of others, and is found', async () => {
    await db.as(
      'migrator',
      `CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
       CREATE TRIGGER touch BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION touch()`,
    );
    await db.asSuperuser(
      `ALTER FUNCTION touch() OWNER TO ${db.roles.app}; GRANT CREATE ON SCHEMA public TO ${db.roles.app}`,
    );
    await db.as(
      'app',
      `CREATE TABLE loot (body text); GRANT INSERT ON loot TO PUBLIC;
       CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO loot VALUES (NEW.body); RETURN NEW; END'`,
    );
    await db.as('migrator', 'UPDATE note SET body = body');
    expect(await db.asTenantA('SELECT body FROM loot ORDER BY 1')).toEqual([{ body: 'a' }, { body: 'b' }]);
    const findings = await db.findingsOf('RLS002');
    expect(findings).toMatchObject([{ object: 'function "public.touch()"' }]);
    await db.asSuperuser(findings[0]!.fix.replace('<migration role>', db.roles.migrator));
    expect(await db.findingsOf('RLS002')).toEqual([]);
  });
});

import { SERVER_VERSION } from '../support/database.js';
import { B, createNoteDatabase, type NoteDatabase } from './audit-support.js';

const RULE = 'RLS020';
const hasInvokerViews = SERVER_VERSION >= 150000;

describe('RLS020 view-runs-as-owner', () => {
  let db: NoteDatabase;
  let held: string;

  beforeAll(async () => {
    db = await createNoteDatabase();
    held = `held_${db.roles.app}`;
    // A role that the policies hold: it owns nothing and is no member of the admin role.
    await db.asSuperuser(
      `CREATE ROLE ${held}; GRANT ${held} TO ${db.roles.migrator};
       GRANT USAGE, CREATE ON SCHEMA public TO ${held}; GRANT SELECT ON note TO ${held}`,
    );
  });
  afterAll(async () => {
    await db.asSuperuser(`DROP OWNED BY ${held}; DROP ROLE ${held}`);
    await db.drop();
  });

  const create = (view: string, query: string, privileges = 'SELECT') =>
    db.as('migrator', `CREATE VIEW ${view} AS ${query}; GRANT ${privileges} ON ${view} TO ${db.roles.app}`);
  const seenThrough = async (view: string) =>
    (await db.asTenantA<{ body: string }>(`SELECT body FROM ${view} ORDER BY id`)).map(({ body }) => body);
  /** As the rule says; before PostgreSQL 15 it leaves open whose the views become. */
  const runFix = async (fix: string, role: 'migrator' | 'superuser' = 'migrator') => {
    const sql = fix.replaceAll('<view role>', held);
    return role === 'migrator' ? db.as('migrator', sql) : db.asSuperuser(sql);
  };
  const expectFound = async (view: string, because: string) => {
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([{ ruleId: RULE, severity: 'critical', object: `view "public.${view}"` }]);
    expect(findings[0]!.message).toContain(because);
    return findings[0]!.fix;
  };

  it('a view of the migration role shows every tenant’s rows, because the admin policy admits its owner', async () => {
    await create('notes', 'SELECT * FROM note');
    expect(await seenThrough('notes')).toEqual(['a', 'b']);
    await runFix(await expectFound('notes', 'the policy "note_admin_policy" admits'));
    expect(await seenThrough('notes')).toEqual(['a']);
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.asSuperuser('DROP VIEW notes');
  });

  it('a view of a superuser shows every tenant’s rows', async () => {
    await db.asSuperuser(`CREATE VIEW notes AS SELECT * FROM note; GRANT SELECT ON notes TO ${db.roles.app}`);
    expect(await seenThrough('notes')).toEqual(['a', 'b']);
    await runFix(await expectFound('notes', 'is a superuser or has BYPASSRLS'), 'superuser');
    expect(await seenThrough('notes')).toEqual(['a']);
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.asSuperuser('DROP VIEW notes');
  });

  it('a view of the owner shows every tenant’s rows where row-level security is not forced', async () => {
    await db.asSuperuser(
      `ALTER TABLE note OWNER TO ${held}; ALTER TABLE note NO FORCE ROW LEVEL SECURITY;
       CREATE VIEW notes AS SELECT * FROM note; ALTER VIEW notes OWNER TO ${held}; GRANT SELECT ON notes TO ${db.roles.app}`,
    );
    expect(await seenThrough('notes')).toEqual(['a', 'b']);
    await expectFound('notes', 'RLS is not forced');
    await db.asSuperuser('ALTER TABLE note FORCE ROW LEVEL SECURITY');
    expect(await seenThrough('notes')).toEqual(['a']);
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.asSuperuser(
      `DROP VIEW notes; ALTER TABLE note OWNER TO ${db.roles.migrator}; GRANT SELECT ON note TO ${held}`,
    );
  });

  it('writes through a view reach every tenant’s rows too', async () => {
    await create('notes', 'SELECT * FROM note', 'UPDATE');
    await db.asTenantA(`UPDATE notes SET body = 'taken'`);
    expect(await db.asSuperuser(`SELECT body FROM note WHERE tenant_id = '${B}'`)).toEqual([
      { body: 'taken' },
    ]);
    await db.asSuperuser(`UPDATE note SET body = CASE id WHEN 1 THEN 'a' ELSE 'b' END`);
    await expectFound('notes', 'note_admin_policy');
    await db.as('migrator', 'DROP VIEW notes');
  });

  it('what counts is the last owner on the way: a harmless view over a dangerous one is found', async () => {
    await db.as('migrator', 'CREATE VIEW inner_notes AS SELECT * FROM note');
    await db.asSuperuser(
      `GRANT SELECT ON inner_notes TO ${held};
       CREATE VIEW notes AS SELECT * FROM inner_notes; ALTER VIEW notes OWNER TO ${held}; GRANT SELECT ON notes TO ${db.roles.app}`,
    );
    expect(await seenThrough('notes')).toEqual(['a', 'b']);
    const fix = await expectFound('notes', `it reads "public.note" as "${db.roles.migrator}"`);
    await runFix(fix, 'superuser');
    await db.asSuperuser(`GRANT SELECT ON inner_notes TO ${db.roles.app}`);
    expect(await seenThrough('notes')).toEqual(['a']);
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.asSuperuser('DROP VIEW notes, inner_notes');
  });

  it('a view of a partition shows what its policies would not, and is found', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE event (id int, tenant_id uuid NOT NULL, body text) PARTITION BY RANGE (id);
       CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (1) TO (10);
       INSERT INTO event VALUES (1, '${B}', 'b');
       ALTER TABLE event ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
       CREATE POLICY p ON event USING (tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid)`,
    );
    await create('events', 'SELECT * FROM event');
    expect(await seenThrough('events')).toEqual([]);
    expect(await db.findingsOf(RULE)).toEqual([]);
    await create('events_1', 'SELECT * FROM event_1');
    expect(await seenThrough('events_1')).toEqual(['b']);
    await expectFound('events_1', 'the table has no row-level security');
    await db.as('migrator', 'DROP TABLE event CASCADE');
  });

  it('is silent about a view whose owner the policies hold, and one that the app role may not use', async () => {
    await db.as('migrator', 'CREATE VIEW admin_notes AS SELECT * FROM note');
    await create('notes', 'SELECT * FROM note');
    await db.as('migrator', `ALTER VIEW notes OWNER TO ${held}`);
    expect(await seenThrough('notes')).toEqual(['a']);
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.as('migrator', 'DROP VIEW notes, admin_notes');
  });

  it('is silent about what the app role’s own policies let through as well', async () => {
    await db.as('migrator', `CREATE POLICY featured ON note FOR SELECT USING (body = 'b')`);
    await create('notes', 'SELECT * FROM note');
    await db.as('migrator', `ALTER VIEW notes OWNER TO ${held}`);
    expect(await seenThrough('notes')).toEqual(['a', 'b']);
    expect(await db.seenByA()).toEqual(['a', 'b']);
    expect(await db.findingsOf(RULE)).toEqual([]);
    expect(await db.findingsOf('RLS009')).toHaveLength(1);
    await db.as('migrator', 'DROP VIEW notes; DROP POLICY featured ON note');
  });

  it('is silent where a restrictive policy holds everybody to the tenant, the view’s owner included', async () => {
    await create('notes', 'SELECT * FROM note');
    await db.as(
      'migrator',
      `CREATE POLICY floor ON note AS RESTRICTIVE USING (tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid)`,
    );
    expect(await seenThrough('notes')).toEqual(['a']);
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.as('migrator', 'ALTER POLICY floor ON note USING (id > 0)');
    expect(await seenThrough('notes')).toEqual(['a', 'b']);
    await expectFound('notes', 'note_admin_policy');
    await db.as('migrator', 'DROP POLICY floor ON note; DROP VIEW notes');
  });

  it('is silent about a view that compares the tenant behind a security barrier, as long as it is only read', async () => {
    await create(
      'notes',
      `SELECT * FROM note WHERE tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid`,
    );
    await expectFound('notes', 'note_admin_policy');
    await db.as('migrator', 'ALTER VIEW notes SET (security_barrier = true)');
    await create('outer_notes', 'SELECT * FROM notes');
    expect(await seenThrough('outer_notes')).toEqual(['a']);
    expect(await db.findingsOf(RULE)).toEqual([]);

    await db.as('migrator', `GRANT INSERT ON notes TO ${db.roles.app}`);
    await db.asTenantA(`INSERT INTO notes VALUES (3, '${B}', 'forged')`);
    expect(await db.asSuperuser(`DELETE FROM note WHERE id = 3 RETURNING tenant_id`)).toEqual([
      { tenant_id: B },
    ]);
    await expectFound('notes', 'note_admin_policy');
    await db.as('migrator', 'DROP VIEW notes CASCADE');
  });

  it('a function of the reader’s own in a condition on a view sees no row that the policies drop', async () => {
    await create('notes', 'SELECT * FROM note');
    await db.as(
      'migrator',
      hasInvokerViews
        ? 'ALTER VIEW notes SET (security_invoker = true)'
        : `ALTER VIEW notes OWNER TO ${held}`,
    );
    // Without security_barrier, and cheap enough to be evaluated first if PostgreSQL let it.
    const seen = await db.asTenantA<{ seen: string }>(
      `CREATE TEMP TABLE seen (body text); CREATE FUNCTION pg_temp.spy(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001
         AS $$ BEGIN INSERT INTO seen VALUES ($1); RETURN true; END $$;
       SELECT count(*) FROM notes WHERE pg_temp.spy(body); SELECT string_agg(body, ',') AS seen FROM seen`,
    );
    expect(seen).toEqual([{ seen: 'a' }]);
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.as('migrator', 'DROP VIEW notes');
  });
});

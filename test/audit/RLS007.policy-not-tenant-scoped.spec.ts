import { A, B, declared, NOTE_COLUMNS, protectSql } from './audit-support.js';
import { createPolicyDatabase, NOTE_POLICY, TENANT, type PolicyDatabase } from './policy-rules-support.js';

const CURRENT = `NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;

describe('RLS007 policy-not-tenant-scoped', () => {
  let db: PolicyDatabase;

  beforeAll(async () => {
    db = await createPolicyDatabase();
    await db.as(
      'migrator',
      `CREATE TABLE tenant (id uuid PRIMARY KEY);
       CREATE TABLE doc (${NOTE_COLUMNS});
       GRANT SELECT ON tenant, doc TO ${db.roles.app}`,
    );
    await db.asSuperuser(
      `INSERT INTO tenant VALUES ('${A}'), ('${B}'); INSERT INTO doc VALUES (1, '${A}', 'b'), (2, '${B}', 'b')`,
    );
  });
  afterEach(() => db.reset());
  afterAll(() => db.drop());

  it.each([
    ['true', 'true'],
    ['a condition that says nothing', '1 = 1'],
    ['any tenant in context', `current_setting('rls.current_tenant', true) <> ''`],
    ['<>', TENANT.replace('=', '<>')],
    ['an OR', `${TENANT} OR body = 'b'`],
    ['a CASE', `CASE WHEN body = 'b' THEN true ELSE ${TENANT} END`],
    ['a privileged tenant', `${TENANT} OR current_setting('rls.current_tenant', true) = '${A}'`],
    [
      'an EXISTS of any own row that looks the same',
      `EXISTS (SELECT 1 FROM doc d WHERE d.body = note.body AND d.tenant_id = ${CURRENT})`,
    ],
    [
      'an EXISTS that asks nothing of the row',
      `EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.relname = 'note')`,
    ],
  ])('%s shows another tenant’s row, and is found', async (_name, using) => {
    await db.alter(using);
    expect(await db.seenByA()).toContain('b');
    expect(await db.findingsOf('RLS007')).toMatchObject([{ severity: 'critical', object: NOTE_POLICY }]);

    await db.applyFix('RLS007');
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS007')).toEqual([]);
  });

  it('one permissive policy beside the tenant’s is enough, and is found', async () => {
    await db.addPolicy(`FOR SELECT USING (body <> '')`);
    expect(await db.seenByA()).toEqual(['a', 'b']);
    expect(await db.findingsOf('RLS007')).toMatchObject([
      { object: 'policy "extra" on table "public.note"' },
    ]);
    await db.applyFix('RLS007');
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS007')).toEqual([]);
  });

  it('a partition’s own policy counts for whoever reads the partition', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE event (id int, tenant_id uuid NOT NULL, body text) PARTITION BY LIST (id);
       CREATE TABLE event_1 PARTITION OF event FOR VALUES IN (1);
       ALTER TABLE event_1 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
       CREATE POLICY all_of_it ON event_1 USING (true);
       GRANT SELECT ON event, event_1 TO ${db.roles.app}`,
    );
    await db.as('migrator', protectSql(declared('event'), db.roles.admin));
    await db.asSuperuser(`INSERT INTO event VALUES (1, '${B}', 'b')`);
    expect(await db.asTenantA('SELECT body FROM event')).toEqual([]);
    expect(await db.asTenantA('SELECT body FROM event_1')).toEqual([{ body: 'b' }]);
    expect(await db.findingsOf('RLS007')).toMatchObject([
      { object: 'policy "all_of_it" on table "public.event_1"' },
    ]);
    await db.applyFix('RLS007');
    expect(await db.asTenantA('SELECT body FROM event_1')).toEqual([]);
    expect(await db.findingsOf('RLS007')).toEqual([]);
    await db.as('migrator', 'DROP TABLE event');
  });

  it('a restrictive tenant policy holds what a permissive one opens, and that is no finding', async () => {
    await db.alter('true');
    await db.addPolicy(`AS RESTRICTIVE USING (${TENANT})`);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS007')).toEqual([]);
    // For one command only, the others are open.
    await db.as('migrator', 'DROP POLICY extra ON note');
    await db.addPolicy(`AS RESTRICTIVE FOR UPDATE USING (${TENANT})`);
    expect(await db.seenByA()).toEqual(['a', 'b']);
    expect(await db.findingsOf('RLS007')).toHaveLength(1);
  });

  it.each([
    ['a narrower one', `${TENANT} AND (body = 'a' OR body = 'b')`],
    ['the tenant looked up', `tenant_id = (SELECT t.id FROM tenant t WHERE t.id = ${CURRENT})`],
    [
      'a row of the tenant’s that this one refers to',
      `EXISTS (SELECT 1 FROM doc d WHERE d.id = note.id AND d.tenant_id = ${CURRENT})`,
    ],
    ['false', 'false'],
  ])('%s shows nothing of another tenant and is no finding', async (_name, using) => {
    await db.alter(using);
    expect(await db.seenByA()).not.toContain('b');
    expect(await db.findingsOf('RLS007')).toEqual([]);
  });

  it.each([
    ['a positional argument', `AS $$ SELECT $1 = ${CURRENT} $$`],
    ['a named argument', `AS $$ SELECT owner = ${CURRENT} $$`],
    ['a body of the SQL standard', `RETURN owner = ${CURRENT}`],
    ['a body of the SQL standard with BEGIN', `BEGIN ATOMIC SELECT owner = ${CURRENT}; END`],
  ])('an SQL function that compares the tenant is looked into: %s', async (_name, body) => {
    await db.as('migrator', `CREATE FUNCTION mine(owner uuid) RETURNS boolean LANGUAGE sql STABLE ${body}`);
    await db.alter('public.mine(tenant_id)');
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS007')).toEqual([]);

    await db.as(
      'migrator',
      `CREATE OR REPLACE FUNCTION mine(owner uuid) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT owner IS NOT NULL'`,
    );
    expect(await db.seenByA()).toEqual(['a', 'b']);
    expect(await db.findingsOf('RLS007')).toHaveLength(1);
    await db.reset();
    await db.as('migrator', 'DROP FUNCTION mine(uuid)');
  });

  it('a function whose body cannot be looked into may give the tenant, but not decide about rows', async () => {
    await db.as(
      'migrator',
      `CREATE FUNCTION who() RETURNS uuid LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN NULLIF(current_setting('rls.current_tenant', true), ''); END $$;
       CREATE FUNCTION decides(uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN true; END $$`,
    );
    await db.alter('tenant_id = public.who()');
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS007')).toEqual([]);
    await db.alter('public.decides(tenant_id)');
    expect(await db.seenByA()).toEqual(['a', 'b']);
    expect(await db.findingsOf('RLS007')).toHaveLength(1);
  });

  it('the library’s own policies, join tables by EXISTS and partitions are no finding', async () => {
    const link = declared('note_links', {
      kind: 'join-table',
      sides: [
        { table: 'note', columns: [{ column: 'from_id', referencedColumn: 'id' }] },
        { table: 'note', columns: [{ column: 'to_id', referencedColumn: 'id' }] },
      ],
    });
    const log = declared('log');
    await db.as(
      'migrator',
      `CREATE TABLE note_links (from_id int, to_id int);
       CREATE TABLE log (${NOTE_COLUMNS}) PARTITION BY RANGE (id);
       CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (100);
       CREATE TABLE delegated (id int, note_id int, tenant_id uuid NOT NULL);
       ALTER TABLE delegated ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
       CREATE POLICY through_note ON delegated USING (EXISTS (SELECT 1 FROM note n WHERE n.id = note_id));
       GRANT SELECT, INSERT ON note_links, log, log_1, delegated TO ${db.roles.app}`,
    );
    for (const table of [link, log, declared('log_1')]) {
      await db.as('migrator', protectSql(table, db.roles.admin));
    }
    await db.asSuperuser('INSERT INTO note_links VALUES (1, 1), (2, 2)');
    await db.asSuperuser(`INSERT INTO delegated VALUES (1, 1, '${A}'), (2, 2, '${B}')`);
    expect(await db.asTenantA('SELECT from_id FROM note_links')).toEqual([{ from_id: 1 }]);
    expect(await db.asTenantA('SELECT id FROM delegated')).toEqual([{ id: 1 }]);
    const rules = [
      'RLS008',
      'RLS010',
      'RLS028',
      'RLS029',
      'RLS050',
      'RLS051',
      'RLS055',
      'RLS056',
      'RLS057',
      'RLS059',
    ];
    for (const rule of ['RLS007', ...rules]) {
      expect(await db.findingsOf(rule, [db.note, link, log])).toEqual([]);
    }
  });
});

import { A, B, createNoteDatabase, declared, protectSql, type NoteDatabase } from './audit-support.js';

describe('RLS012 partition-or-child-exposed', () => {
  let db: NoteDatabase;
  const event = declared('event');
  const found = () => db.findingsOf('RLS012', [event]);

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  beforeEach(async () => {
    await db.as(
      'migrator',
      `CREATE TABLE event (id int NOT NULL, tenant_id uuid NOT NULL, body text) PARTITION BY RANGE (id);
       CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (100);
       ${protectSql(event, db.roles.admin)}
       GRANT SELECT, INSERT ON event TO ${db.roles.app}`,
    );
    await db.asSuperuser(`INSERT INTO event VALUES (1, '${A}', 'a'), (2, '${B}', 'b')`);
  });
  afterEach(() => db.as('migrator', 'DROP TABLE event'));
  afterAll(() => db.drop());

  const seen = (table: string) => db.asTenantA(`SELECT body FROM ${table} ORDER BY id`);

  it('whoever names a granted partition reads every tenant’s rows, and it is found', async () => {
    await db.as('migrator', `GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${db.roles.app}`);
    expect(await seen('event')).toEqual([{ body: 'a' }]);
    expect(await seen('event_1')).toEqual([{ body: 'a' }, { body: 'b' }]);
    const findings = await found();
    expect(findings).toMatchObject([
      { ruleId: 'RLS012', severity: 'critical', object: 'table "public.event_1"' },
    ]);

    await db.as('migrator', findings[0]!.fix);
    expect(await seen('event_1')).toEqual([{ body: 'a' }]);
    expect(await seen('event')).toEqual([{ body: 'a' }]);
    expect(await found()).toEqual([]);
  });

  it('grants on the partitioned table do not reach its partitions: without one of its own it is a warning', async () => {
    await expect(seen('event_1')).rejects.toThrow('permission denied');
    const findings = await found();
    expect(findings).toMatchObject([{ severity: 'warning', object: 'table "public.event_1"' }]);
    await db.as('migrator', `${findings[0]!.fix} GRANT SELECT ON event_1 TO ${db.roles.app}`);
    expect(await seen('event_1')).toEqual([{ body: 'a' }]);
    expect(await found()).toEqual([]);
  });

  it('a grant on one column exposes it, too, on every level of partitions', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
       CREATE TABLE event_2_1 PARTITION OF event_2 FOR VALUES FROM (100) TO (200);
       GRANT SELECT (id, body) ON event_2_1 TO PUBLIC`,
    );
    await db.asSuperuser(`INSERT INTO event VALUES (102, '${B}', 'b')`);
    expect(await seen('event_2_1')).toEqual([{ body: 'b' }]);
    const findings = await found();
    expect(findings.map(({ object, severity }) => `${severity} ${object}`)).toEqual([
      'critical table "public.event_2_1"',
      'warning table "public.event_1"',
      'warning table "public.event_2"',
    ]);
    for (const { fix } of findings) await db.as('migrator', fix);
    await expect(seen('event_2_1')).resolves.toEqual([]);
    expect(await found()).toEqual([]);
  });

  it('an inheritance child is found like a partition', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE base (id int, tenant_id uuid NOT NULL, body text); ${protectSql(declared('base'), db.roles.admin)}
       CREATE TABLE child () INHERITS (base); GRANT SELECT ON child TO ${db.roles.app}`,
    );
    await db.asSuperuser(`INSERT INTO child VALUES (2, '${B}', 'b')`);
    expect(await seen('child')).toEqual([{ body: 'b' }]);
    const [finding] = await db.findingsOf('RLS012', [declared('base')]);
    expect(finding).toMatchObject({ severity: 'critical', object: 'table "public.child"' });
    await db.as('migrator', finding!.fix);
    expect(await seen('child')).toEqual([]);
    await db.as('migrator', 'DROP TABLE base CASCADE');
  });

  it('a policy of the partition that admits more than the table’s is found', async () => {
    await db.as('migrator', `${(await found())[0]!.fix} GRANT SELECT ON event_1 TO ${db.roles.app}`);
    // One that the table alone or both have shows nothing more.
    for (const table of ['event', 'event_1']) {
      await db.as('migrator', `CREATE POLICY shared ON ${table} FOR SELECT USING (body = 'shared')`);
      expect(await found()).toEqual([]);
    }
    await db.as('migrator', 'CREATE POLICY lax ON event_1 USING (true)');
    expect(await seen('event_1')).toEqual([{ body: 'a' }, { body: 'b' }]);
    const findings = await found();
    expect(findings).toMatchObject([{ severity: 'error', message: expect.stringContaining('"lax"') }]);
    await db.as('migrator', findings[0]!.fix);
    expect(await seen('event_1')).toEqual([{ body: 'a' }]);
    expect(await found()).toEqual([]);
  });

  it('a restrictive policy of the table that the partition lacks is found', async () => {
    await db.as('migrator', `${(await found())[0]!.fix} GRANT SELECT ON event_1 TO ${db.roles.app}`);
    await db.as('migrator', `CREATE POLICY seen ON event AS RESTRICTIVE FOR SELECT USING (body <> 'a')`);
    expect(await seen('event')).toEqual([]);
    expect(await seen('event_1')).toEqual([{ body: 'a' }]);
    const findings = await found();
    expect(findings).toMatchObject([{ severity: 'error', message: expect.stringContaining('"seen"') }]);
    await db.as('migrator', findings[0]!.fix);
    await expect(seen('event_1')).rejects.toThrow('permission denied');
    expect(await found()).toEqual([]);
  });

  it('a partition that is protected and not forced, or whose policies sleep, only needs to be switched on', async () => {
    await db.as('migrator', `${(await found())[0]!.fix} GRANT SELECT ON event_1 TO ${db.roles.app}`);
    await db.as('migrator', 'ALTER TABLE event_1 NO FORCE ROW LEVEL SECURITY');
    expect(await found()).toMatchObject([
      { severity: 'warning', message: expect.stringContaining('not forced') },
    ]);
    await db.as('migrator', 'ALTER TABLE event_1 DISABLE ROW LEVEL SECURITY');
    expect(await seen('event_1')).toEqual([{ body: 'a' }, { body: 'b' }]);
    const findings = await found();
    expect(findings).toMatchObject([{ severity: 'critical' }]);
    await db.as('migrator', findings[0]!.fix);
    expect(await seen('event_1')).toEqual([{ body: 'a' }]);
    expect(await found()).toEqual([]);
  });

  it('a parent that is no tenant table shows the rows of a protected child, and is found', async () => {
    const letter = declared('letter');
    await db.as(
      'migrator',
      `CREATE TABLE template (id int, body text);
       CREATE TABLE letter (tenant_id uuid NOT NULL) INHERITS (template);
       ${protectSql(letter, db.roles.admin)} GRANT SELECT ON template, letter TO ${db.roles.app}`,
    );
    await db.asSuperuser(`INSERT INTO letter VALUES (1, 'b', '${B}')`);
    expect(await seen('letter')).toEqual([]);
    expect(await seen('template')).toEqual([{ body: 'b' }]);
    // Whether or not an entity declares it.
    for (const tables of [[event, letter], [event]]) {
      expect(
        (await db.findingsOf('RLS012', tables)).filter(({ severity }) => severity === 'critical'),
      ).toMatchObject([{ object: 'table "public.template"' }]);
    }
    const findings = await db.findingsOf('RLS012', [event]);
    await db.as('migrator', findings.find(({ severity }) => severity === 'critical')!.fix);
    await expect(seen('template')).rejects.toThrow('permission denied');
    expect((await found()).filter(({ severity }) => severity === 'critical')).toEqual([]);
    await db.as('migrator', 'DROP TABLE template CASCADE');
  });
});

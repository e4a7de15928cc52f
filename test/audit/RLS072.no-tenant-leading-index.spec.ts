import { createNoteDatabase, A, declared, protectSql, type NoteDatabase } from './audit-support.js';
import { fillNotes, planOf } from './plan-support.js';

describe('RLS072 no-tenant-leading-index', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await fillNotes(db, 20_000);
  });
  afterAll(() => db.drop());

  it('without the index every tenant’s rows are read, and it is found', async () => {
    expect(await planOf(db, 'SELECT body FROM note')).toContain('Seq Scan');
    const findings = await db.findingsOf('RLS072');
    expect(findings).toMatchObject([{ severity: 'error', object: 'table "public.note"' }]);

    await db.as('migrator', findings[0]!.fix);
    expect(await planOf(db, 'SELECT body FROM note')).toContain('Index Cond: (tenant_id =');
    expect(await db.findingsOf('RLS072')).toEqual([]);
    await db.as('migrator', 'DROP INDEX note_tenant_idx');
  });

  it.each([
    ['a partial index', 'CREATE INDEX other ON note (tenant_id) WHERE id < 0'],
    ['an index that begins with another column', 'CREATE INDEX other ON note (id, tenant_id)'],
    ['an invalid index', 'CREATE INDEX other ON note (tenant_id)'],
  ])('%s does not do', async (name, sql) => {
    await db.as('migrator', sql);
    if (name.includes('invalid'))
      await db.asSuperuser(`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'other'::regclass`);
    // The whole of an index that begins with another column may be read instead of the whole table.
    const whole = name.includes('another column') ? /Index Scan using other/ : /Seq Scan/;
    expect(await planOf(db, 'SELECT body FROM note', 'SET enable_bitmapscan = off;')).toMatch(whole);
    expect(await db.findingsOf('RLS072')).toHaveLength(1);
    await db.as('migrator', 'DROP INDEX other');
  });

  it.each(['(tenant_id, id)', 'USING hash (tenant_id)'])('an index %s does', async (keys) => {
    await db.as('migrator', `CREATE INDEX other ON note ${keys}`);
    expect(await planOf(db, 'SELECT body FROM note')).toContain('Index Cond: (tenant_id =');
    expect(await db.findingsOf('RLS072')).toEqual([]);
    await db.as('migrator', 'DROP INDEX other');
  });

  it('a table of few rows is a warning', async () => {
    await db.as('migrator', 'CREATE TABLE small (tenant_id uuid NOT NULL)');
    expect(await db.findingsOf('RLS072')).toContainEqual(
      expect.objectContaining({ severity: 'warning', object: 'table "public.small"' }),
    );
    await db.as('migrator', 'DROP TABLE small');
  });

  it('of a partitioned table each partition is looked at, but not one that holds a single tenant', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE event (id int, tenant_id uuid NOT NULL) PARTITION BY LIST (tenant_id);
       CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('${A}');
       CREATE TABLE event_rest PARTITION OF event DEFAULT PARTITION BY HASH (id);
       CREATE TABLE event_rest_0 PARTITION OF event_rest FOR VALUES WITH (MODULUS 1, REMAINDER 0)`,
    );
    await db.as('migrator', protectSql(declared('event'), db.roles.admin));
    const found = async () =>
      (await db.findingsOf('RLS072')).filter(({ object }) => object.includes('event'));
    expect(await found()).toMatchObject([
      {
        object: 'table "public.event_rest_0"',
        fix: expect.stringMatching(/^partitionedIndex\(.*'public.event'/),
      },
    ]);
    await db.as('migrator', 'CREATE INDEX ON event (tenant_id)');
    expect(await found()).toEqual([]);
  });
});

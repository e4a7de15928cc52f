import { createNoteDatabase, type NoteDatabase } from './audit-support.js';
import { fillNotes, planOf, TENANT_INDEX } from './plan-support.js';

const TENANT = `NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;
const POLICY = 'note_tenant_isolation_policy';

describe('RLS071 predicate-not-indexable', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await fillNotes(db, 20_000);
    await db.as('migrator', TENANT_INDEX);
  });
  afterAll(() => db.drop());

  const setPolicy = (predicate: string) =>
    db.as('migrator', `ALTER POLICY ${POLICY} ON note USING (${predicate})`);
  const plan = () => planOf(db, 'SELECT body FROM note');

  it.each([
    ['CASE', `CASE WHEN ${TENANT} IS NULL THEN false ELSE tenant_id = ${TENANT} END`],
    ['OR', `tenant_id = ${TENANT} OR current_setting('app.bypass', true) = 'on'`],
    ['a cast of the column', `tenant_id::text = (SELECT current_setting('rls.current_tenant', true))`],
    [
      'a function around the column',
      `lower(tenant_id::text) = (SELECT current_setting('rls.current_tenant', true))`,
    ],
    ['IS NOT DISTINCT FROM', `tenant_id IS NOT DISTINCT FROM ${TENANT}`],
    ['LIKE', `tenant_id::text LIKE (SELECT current_setting('rls.current_tenant', true))`],
  ])('under %s the whole table is read, and it is found', async (_name, predicate) => {
    await setPolicy(predicate);
    expect(await plan()).toContain('Seq Scan');
    const findings = await db.findingsOf('RLS071');
    expect(findings).toMatchObject([
      { severity: 'error', object: `policy "${POLICY}" on table "public.note"` },
    ]);

    await db.as('migrator', findings[0]!.fix);
    expect(await plan()).toMatch(/Index Cond: \(tenant_id = /);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS071')).toEqual([]);
  });

  it.each([
    ['equality', `tenant_id = ${TENANT}`],
    ['equality the other way round', `${TENANT} = tenant_id`],
    ['equality beside other conditions', `body <> 'gone' AND (tenant_id = ${TENANT} AND id > 0)`],
    ['a list', `tenant_id = ANY (ARRAY[${TENANT}])`],
    ['no sub-select', `tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid`],
  ])('%s is an index condition, and no finding', async (_name, predicate) => {
    await setPolicy(predicate);
    expect(await plan()).toMatch(/Index Cond: .*tenant_id = /);
    expect(await db.findingsOf('RLS071')).toEqual([]);
  });

  it('a restrictive policy with the bare equality gives the permissive one its index', async () => {
    await setPolicy(`tenant_id = ${TENANT} OR current_setting('app.bypass', true) = 'on'`);
    await db.as(
      'migrator',
      `CREATE POLICY floor ON note AS RESTRICTIVE FOR SELECT USING (tenant_id = ${TENANT})`,
    );
    expect(await plan()).toContain('Index Cond');
    // It does not hold a DELETE without WHERE, which reads no column.
    expect(await db.findingsOf('RLS071')).toHaveLength(1);
    await db.as(
      'migrator',
      `DROP POLICY floor ON note; CREATE POLICY floor ON note AS RESTRICTIVE USING (tenant_id = ${TENANT})`,
    );
    expect(await db.findingsOf('RLS071')).toEqual([]);
    await db.as('migrator', 'DROP POLICY floor ON note');
  });

  it('a varchar column is compared as text, which an index serves', async () => {
    const text = (table: string) =>
      `${table} = (SELECT NULLIF(current_setting('rls.current_tenant', true), ''))`;
    await db.as(
      'migrator',
      `CREATE TABLE doc (tenant_id varchar NOT NULL, body text); CREATE INDEX ON doc (tenant_id);
       ALTER TABLE doc ENABLE ROW LEVEL SECURITY; CREATE POLICY doc_tenant_isolation_policy ON doc USING (${text('tenant_id')});
       INSERT INTO doc SELECT n::text FROM generate_series(1, 5000) AS n; ANALYZE doc; GRANT SELECT ON doc TO ${db.roles.app}`,
    );
    expect(await planOf(db, 'SELECT FROM doc')).toMatch(/Index Cond: .*tenant_id.* = /);
    const found = (await db.findingsOf('RLS071')).filter(({ object }) => object.includes('doc'));
    expect(found).toEqual([]);
  });
});

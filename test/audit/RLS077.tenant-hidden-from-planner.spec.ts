import { createNoteDatabase, type NoteDatabase } from './audit-support.js';
import { fillNotes, TENANT_INDEX } from './plan-support.js';

const READ = `NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;
/** Rows of tenant A, among as many of 100 other tenants. */
const ROWS = 5_000;

describe('RLS077 tenant-hidden-from-planner', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.asSuperuser(
      `INSERT INTO note SELECT 100000 + n, (SELECT tenant_id FROM note WHERE body = 'a'), 'a'
         FROM generate_series(2, ${ROWS}) AS n`,
    );
    await fillNotes(db, ROWS);
    await db.as('migrator', TENANT_INDEX);
  });
  afterAll(() => db.drop());

  const setPolicy = (predicate: string) =>
    db.as(
      'migrator',
      `ALTER POLICY note_tenant_isolation_policy ON note USING (${predicate}) WITH CHECK (${predicate})`,
    );
  const estimatedRows = async () => {
    const [row] = await db.asTenantA<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
      'EXPLAIN (FORMAT JSON) SELECT body FROM note',
    );
    return row!['QUERY PLAN'][0].Plan['Plan Rows'];
  };

  it('the planner takes a tenant behind a sub-select for an average one, and the fix shows it which one it is', async () => {
    await setPolicy(`tenant_id = (SELECT ${READ})`);
    expect(await estimatedRows()).toBeLessThan(ROWS / 10);
    const findings = await db.findingsOf('RLS077');
    expect(findings).toMatchObject([
      { severity: 'warning', object: 'policy "note_tenant_isolation_policy" on table "public.note"' },
    ]);

    await db.as('migrator', findings[0]!.fix);
    expect(await estimatedRows()).toBeGreaterThan(ROWS / 2);
    expect(new Set(await db.seenByA())).toEqual(new Set(['a']));
    expect(await db.findingsOf('RLS077')).toEqual([]);
  });

  it.each([
    ['the setting itself', `tenant_id = ${READ}`],
    ['a function in a sub-select', 'tenant_id = (SELECT tenant_now())'],
    [
      'a sub-select that reads a table',
      `tenant_id = (SELECT min(tenant_id::text)::uuid FROM note n WHERE n.tenant_id = ${READ})`,
    ],
  ])('%s is no finding', async (_name, predicate) => {
    await db.as(
      'migrator',
      `CREATE OR REPLACE FUNCTION tenant_now() RETURNS uuid STABLE LANGUAGE sql AS $$ SELECT ${READ} $$`,
    );
    await setPolicy(predicate);
    expect(await db.findingsOf('RLS077')).toEqual([]);
  });
});

import { createNoteDatabase, type NoteDatabase } from './audit-support.js';
import { fillNotes, planOf, TENANT_INDEX, WITHOUT_INDEXES } from './plan-support.js';

const ROWS = 2_000;
const READ = `NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;

describe('RLS070 context-per-row', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await fillNotes(db, ROWS);
    await db.as(
      'migrator',
      `${TENANT_INDEX};
       CREATE SEQUENCE calls; GRANT USAGE ON SEQUENCE calls TO ${db.roles.app};
       CREATE FUNCTION tenant_now() RETURNS uuid STABLE LANGUAGE plpgsql
         AS $$ BEGIN PERFORM nextval('public.calls'); RETURN ${READ}; END $$`,
    );
  });
  afterAll(() => db.drop());

  const setPolicy = (predicate: string) =>
    db.as(
      'migrator',
      `ALTER POLICY note_tenant_isolation_policy ON note USING (${predicate}) WITH CHECK (${predicate})`,
    );
  /** How often one statement calls the policy's function. */
  const calls = async (settings: string) => {
    await db.as('migrator', 'ALTER SEQUENCE calls RESTART');
    await db.asTenantA(`${settings} SELECT body FROM note`);
    const [row] = await db.asSuperuser<{ calls: number }>(
      'SELECT CASE WHEN is_called THEN last_value ELSE 0 END::int AS calls FROM calls',
    );
    return row!.calls;
  };

  it('a function outside of a sub-select is called for each row that is filtered, and is found', async () => {
    await setPolicy('tenant_id = tenant_now()');
    expect(await calls(WITHOUT_INDEXES)).toBeGreaterThan(ROWS);
    const findings = await db.findingsOf('RLS070');
    expect(findings).toMatchObject([
      {
        severity: 'warning',
        object: 'policy "note_tenant_isolation_policy" on table "public.note"',
        message: expect.stringContaining('tenant_now()'),
      },
    ]);

    await db.as('migrator', findings[0]!.fix);
    expect(await calls(WITHOUT_INDEXES)).toBeLessThan(5);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS070')).toEqual([]);
  });

  it('but where it is the index condition it is not called for each row, so that it is no error', async () => {
    await setPolicy('tenant_id = tenant_now()');
    expect(await planOf(db, 'SELECT body FROM note')).toContain('Index Cond');
    expect(await calls('')).toBeLessThan(5);
  });

  it.each([
    ['alone', `tenant_id = ${READ}`],
    ['beside another condition', `tenant_id = ${READ} AND body <> 'gone'`],
  ])(
    'a setting that is compared with the column, %s, is for the index, and no finding',
    async (_name, predicate) => {
      await setPolicy(predicate);
      expect(await planOf(db, 'SELECT body FROM note')).toMatch(/Index Cond: .*current_setting/);
      expect(await db.findingsOf('RLS070')).toEqual([]);
    },
  );

  it('but the same setting once more beside the comparison is one', async () => {
    await setPolicy(`tenant_id = ${READ} AND current_setting('rls.current_tenant', true) <> 'x'`);
    expect(await db.findingsOf('RLS070')).toHaveLength(1);
  });

  it('a setting that is compared with a cast of the column is read within the filter, and the fix compares the column', async () => {
    await setPolicy(`tenant_id::text = current_setting('rls.current_tenant', true)`);
    expect(await planOf(db, 'SELECT body FROM note')).toMatch(/Filter: .*current_setting/);
    const [finding] = await db.findingsOf('RLS070');

    await db.as('migrator', finding!.fix);
    expect(await planOf(db, 'SELECT body FROM note')).toMatch(/Index Cond: .*current_setting/);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS070')).toEqual([]);
  });

  it('a setting that decides beside the tenant is read within the filter, and the fix takes it out', async () => {
    await setPolicy(`tenant_id = ${READ} AND body IS DISTINCT FROM current_setting('rls.hidden', true)`);
    expect(await planOf(db, 'SELECT body FROM note')).toMatch(/Filter: .*rls.hidden/);
    const [finding] = await db.findingsOf('RLS070');

    await db.as('migrator', finding!.fix);
    const plan = await planOf(db, 'SELECT body FROM note');
    expect(plan).toContain('InitPlan');
    expect(plan).not.toMatch(/Filter: .*current_setting/);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS070')).toEqual([]);
  });

  it('a sub-select that refers to the row is evaluated for each of them', async () => {
    await setPolicy(`(SELECT note.tenant_id = ${READ})`);
    expect(await planOf(db, 'SELECT body FROM note')).toContain('SubPlan');
    expect(await db.findingsOf('RLS070')).toHaveLength(1);
  });

  it('where a call takes a column there is advice and no statement', async () => {
    await db.as(
      'migrator',
      `CREATE FUNCTION is_mine(tenant uuid) RETURNS boolean STABLE LANGUAGE sql AS $$ SELECT tenant = ${READ} $$`,
    );
    await setPolicy('is_mine(tenant_id)');
    expect(await db.findingsOf('RLS070')).toMatchObject([{ fix: expect.stringMatching(/^-- Write/) }]);
  });
});

import { createNoteDatabase, type NoteDatabase } from './audit-support.js';
import { fillNotes, planOf, TENANT_INDEX } from './plan-support.js';

const PARALLEL =
  'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET enable_indexscan = off; SET enable_bitmapscan = off;';

describe('RLS074 helper-function-cost', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await fillNotes(db, 20_000);
    await db.as('migrator', TENANT_INDEX);
  });
  afterAll(() => db.drop());

  const useHelper = async (attributes: string, call = '(SELECT tenant_now())') => {
    const body = `NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;
    await db.as(
      'migrator',
      `CREATE OR REPLACE FUNCTION tenant_now() RETURNS uuid LANGUAGE plpgsql ${attributes} AS $$ BEGIN RETURN ${body}; END $$;
       ALTER POLICY note_tenant_isolation_policy ON note USING (tenant_id = ${call})`,
    );
  };

  it('PARALLEL UNSAFE, the default, forbids parallel plans, and is found', async () => {
    await useHelper('STABLE');
    expect(await planOf(db, 'SELECT body FROM note', PARALLEL)).not.toContain('Gather');
    const findings = await db.findingsOf('RLS074');
    expect(findings).toMatchObject([
      {
        severity: 'warning',
        object: 'function "public.tenant_now()"',
        message: expect.stringContaining('PARALLEL UNSAFE'),
      },
    ]);
    expect(findings[0]!.message).not.toContain('VOLATILE');

    await db.as('migrator', findings[0]!.fix);
    expect(await planOf(db, 'SELECT body FROM note', PARALLEL)).toContain('Gather');
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS074')).toEqual([]);
  });

  it('VOLATILE is no index condition, and is found', async () => {
    await useHelper('VOLATILE PARALLEL SAFE', 'tenant_now()');
    expect(await planOf(db, 'SELECT body FROM note')).toContain('Seq Scan');
    const [finding] = await db.findingsOf('RLS074');
    expect(finding).toMatchObject({ message: expect.stringContaining('VOLATILE: it is no index condition') });

    await db.as('migrator', finding!.fix);
    expect(await planOf(db, 'SELECT body FROM note')).toContain('Index Cond');
    expect(await db.findingsOf('RLS074')).toEqual([]);
  });

  it('a function that no policy calls is no finding', async () => {
    await db.as('migrator', 'CREATE FUNCTION other() RETURNS int LANGUAGE sql VOLATILE AS $$ SELECT 1 $$');
    await useHelper('STABLE PARALLEL SAFE');
    expect(await db.findingsOf('RLS074')).toEqual([]);
  });
});

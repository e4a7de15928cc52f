import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

const RULE = 'RLS021';

describe('RLS021 materialized-view', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as('migrator', 'CREATE MATERIALIZED VIEW report AS SELECT id, tenant_id, body FROM note');
  });
  afterAll(() => db.drop());

  const seenThrough = async (relation: string, condition = 'true') =>
    (await db.asTenantA<{ body: string }>(`SELECT body FROM ${relation} WHERE ${condition} ORDER BY id`)).map(
      ({ body }) => body,
    );

  it('shows every tenant’s rows to whoever may read it, and is found', async () => {
    await db.as('migrator', `GRANT SELECT ON report TO ${db.roles.app}`);
    expect(await seenThrough('report')).toEqual(['a', 'b']);
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([
      { ruleId: RULE, severity: 'error', object: 'materialized view "public.report"' },
    ]);

    await db.as('migrator', findings[0]!.fix);
    await expect(seenThrough('report')).rejects.toThrow('permission denied');
    expect(await seenThrough('report_of_tenant')).toEqual(['a']);
    expect(await db.findingsOf(RULE)).toEqual([]);
  });

  it('a view that compares the tenant holds against a function of the reader’s only as a security barrier', async () => {
    const spied = async () => {
      const rows = await db.asTenantA<{ seen: string }>(
        `CREATE TEMP TABLE seen (body text); CREATE FUNCTION pg_temp.spy(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001
           AS $$ BEGIN INSERT INTO seen VALUES ($1); RETURN true; END $$;
         SELECT count(*) FROM report_of_tenant WHERE pg_temp.spy(body); SELECT string_agg(body, ',' ORDER BY body) AS seen FROM seen`,
      );
      return rows[0]!.seen;
    };
    await db.as('migrator', 'ALTER VIEW report_of_tenant RESET (security_barrier)');
    expect(await spied()).toBe('a,b');
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([{ object: 'materialized view "public.report"' }]);
    expect(findings[0]!.message).toContain('through the view "public.report_of_tenant"');

    await db.as('migrator', 'ALTER VIEW report_of_tenant SET (security_barrier = true)');
    expect(await spied()).toBe('a');
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.as('migrator', 'DROP VIEW report_of_tenant');
  });

  it('a view that passes its rows on is found, whatever else it asks', async () => {
    await db.as(
      'migrator',
      `CREATE VIEW passed WITH (security_barrier = true) AS SELECT * FROM report WHERE tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid OR id > 1;
       GRANT SELECT ON passed TO ${db.roles.app}`,
    );
    expect(await seenThrough('passed')).toEqual(['a', 'b']);
    const findings = await db.findingsOf(RULE);
    expect(findings).toHaveLength(1);
    // It is the stored rows that it shows, whoever owns it.
    expect(await db.findingsOf('RLS020')).toEqual([]);
    await db.as('migrator', 'DROP VIEW IF EXISTS report_of_tenant');
    await db.as('migrator', findings[0]!.fix);
    await expect(seenThrough('passed')).rejects.toThrow('permission denied');
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.as('migrator', 'DROP VIEW passed, report_of_tenant');
  });

  it('is silent about one that only others may read', async () => {
    await expect(seenThrough('report')).rejects.toThrow('permission denied');
    expect(await db.findingsOf(RULE)).toEqual([]);
  });
});

import { inheritSql, since16 } from '../support/database.js';
import { createNoteDatabase, A, B, type NoteDatabase } from './audit-support.js';

const TENANT = `tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;

describe('RLS009 permissive-widening', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterEach(async () => {
    await db.as('migrator', 'DROP POLICY IF EXISTS extra ON note');
  });
  afterAll(() => db.drop());

  it('a second permissive policy shows rows of another tenant, and is found', async () => {
    await db.as('migrator', 'CREATE POLICY extra ON note FOR SELECT USING (id = 2)');
    expect(await db.seenByA()).toEqual(['a', 'b']);
    const { findings } = await db.audit();
    expect(findings).toMatchObject([
      { ruleId: 'RLS009', severity: 'error', object: 'policy "extra" on table "public.note"' },
    ]);

    await db.as('migrator', findings[0]!.fix);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findings()).toEqual([]);
  });

  it('a permissive WITH CHECK writes a row for another tenant, and is found', async () => {
    await db.as('migrator', 'CREATE POLICY extra ON note FOR INSERT WITH CHECK (true)');
    await db.asTenantA(`INSERT INTO note VALUES (3, '${B}', 'by a')`);
    expect(await db.asSuperuser(`SELECT id FROM note WHERE tenant_id = '${B}' AND body = 'by a'`)).toEqual([
      { id: 3 },
    ]);
    expect(await db.findings()).toEqual(['RLS009 error']);

    await db.as('migrator', 'DROP POLICY extra ON note');
    await expect(db.asTenantA(`INSERT INTO note VALUES (4, '${B}', 'by a')`)).rejects.toThrow(
      'row-level security',
    );
    await db.asSuperuser('DELETE FROM note WHERE id = 3');
  });

  since16('a policy for a role that the app role inherits is found', async () => {
    const other = `other_${db.roles.app}`;
    await db.asSuperuser(`CREATE ROLE ${other}; ${inheritSql(db.roles.app, other, true)}`);
    await db.as('migrator', `CREATE POLICY extra ON note TO ${other} USING (true)`);
    expect(await db.seenByA()).toEqual(['a', 'b']);
    expect(await db.findings()).toEqual(['RLS009 error']);

    await db.asSuperuser(`REVOKE ${other} FROM ${db.roles.app}`);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findings()).toEqual([]);
    await db.asSuperuser(`DROP OWNED BY ${other}; DROP ROLE ${other}`);
  });

  it.each([
    ['a restrictive policy', 'AS RESTRICTIVE USING (id = 2)'],
    ['the same predicate again', `USING (${TENANT})`],
    ['a narrower predicate', `FOR SELECT USING (id < 10 AND (${TENANT} AND body <> ''))`],
    ['a policy that admits nothing', 'FOR INSERT'],
  ])('%s shows no other rows and is no finding', async (_name, policy) => {
    await db.as('migrator', `CREATE POLICY extra ON note ${policy}`);
    expect(await db.seenByA()).not.toContain('b');
    expect(await db.as('app', `SELECT body FROM note WHERE tenant_id <> '${A}'`)).toEqual([]);
    expect(await db.findings()).toEqual([]);
  });

  it('on a table that no entity declares RLS007 judges it: a policy that asks a function for the tenant is none', async () => {
    await db.as(
      'migrator',
      `CREATE FUNCTION tenant() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT NULLIF(current_setting('rls.current_tenant', true), '')::uuid $$;
       CREATE TABLE letter (tenant_id uuid NOT NULL);
       ALTER TABLE letter ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
       CREATE POLICY p ON letter USING (tenant_id = (SELECT tenant()));
       GRANT SELECT ON letter TO ${db.roles.app}`,
    );
    await db.asSuperuser(`INSERT INTO letter VALUES ('${A}'), ('${B}')`);
    expect(await db.asTenantA('SELECT tenant_id FROM letter')).toEqual([{ tenant_id: A }]);
    expect(await db.findingsOf('RLS009')).toEqual([]);
    expect(await db.findingsOf('RLS007')).toEqual([]);

    await db.as('migrator', 'CREATE POLICY open ON letter USING (tenant_id IS NOT NULL)');
    expect(await db.asTenantA('SELECT tenant_id FROM letter')).toHaveLength(2);
    expect(await db.findingsOf('RLS007')).toMatchObject([
      { object: 'policy "open" on table "public.letter"' },
    ]);
    await db.as('migrator', 'DROP TABLE letter; DROP FUNCTION tenant()');
  });
});

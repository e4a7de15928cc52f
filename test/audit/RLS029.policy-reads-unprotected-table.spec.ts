import { A, B } from './audit-support.js';
import { createPolicyDatabase, TENANT, type PolicyDatabase } from './policy-rules-support.js';

const EXTRA = 'policy "extra" on table "public.note"';

describe('RLS029 policy-reads-unprotected-table', () => {
  let db: PolicyDatabase;

  beforeAll(async () => {
    db = await createPolicyDatabase();
    await db.as(
      'migrator',
      `CREATE TABLE membership (note_id int, member uuid);
       GRANT SELECT, INSERT ON membership TO ${db.roles.app}`,
    );
    await db.asSuperuser(`INSERT INTO membership VALUES (1, '${A}'), (2, '${B}')`);
  });
  afterEach(() => db.reset());
  afterAll(() => db.drop());

  const member = TENANT.replace('tenant_id', 'm.member');

  it('a table that the app role may write lets a tenant show itself any row, and is found until it is protected', async () => {
    await db.addPolicy(`FOR SELECT USING (id IN (SELECT m.note_id FROM membership m WHERE ${member}))`);
    expect(await db.seenByA()).toEqual(['a']);
    await db.asTenantA(`INSERT INTO membership VALUES (2, '${A}')`);
    expect(await db.seenByA()).toEqual(['a', 'b']);
    expect(await db.findingsOf('RLS029')).toMatchObject([{ severity: 'error', object: EXTRA }]);

    await db.applyFix('RLS029');
    await db.asSuperuser(`DELETE FROM membership WHERE note_id = 2 AND member = '${A}'`);
    await expect(db.asTenantA(`INSERT INTO membership VALUES (2, '${A}')`)).rejects.toThrow(
      'permission denied',
    );
    expect(await db.seenByA()).toEqual(['a']);

    // What is shown to whom can still be read.
    expect(await db.asTenantA(`SELECT note_id FROM membership WHERE member = '${B}'`)).toEqual([
      { note_id: 2 },
    ]);
    expect(await db.findingsOf('RLS029')).toMatchObject([{ severity: 'warning', object: EXTRA }]);
    await db.applyFix('RLS029');
    await db.as('migrator', `CREATE POLICY own ON membership USING (${member.replace('m.', '')})`);
    expect(await db.asTenantA(`SELECT note_id FROM membership WHERE member = '${B}'`)).toEqual([]);
    expect(await db.seenByA()).toEqual(['a']);
    expect(await db.findingsOf('RLS029')).toEqual([]);
    await db.as('migrator', 'DROP POLICY extra ON note; DROP TABLE membership');
  });

  it('a table whose own policy admits every written row is found, also behind a view', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE share (note_id int, member uuid);
       ALTER TABLE share ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
       CREATE POLICY anything ON share USING (true);
       CREATE VIEW shared AS SELECT * FROM share;
       GRANT SELECT, INSERT ON share, shared TO ${db.roles.app}`,
    );
    await db.addPolicy(
      `FOR SELECT USING (EXISTS (SELECT 1 FROM shared m WHERE m.note_id = note.id AND ${member}))`,
    );
    await db.asTenantA(`INSERT INTO share VALUES (2, '${A}')`);
    expect(await db.seenByA()).toEqual(['a', 'b']);
    expect(await db.findingsOf('RLS029')).toMatchObject([{ severity: 'error', object: EXTRA }]);
    await db.applyFix('RLS029');
    await expect(db.asTenantA(`INSERT INTO share VALUES (2, '${A}')`)).rejects.toThrow('permission denied');
    expect(await db.findingsOf('RLS029')).toEqual([]);
    await db.as('migrator', 'DROP POLICY extra ON note; DROP VIEW shared; DROP TABLE share');
  });

  it('a table out of the app role’s reach, and a protected tenant table that it may write, are no finding', async () => {
    await db.as('migrator', 'CREATE TABLE hidden (note_id int)');
    await db.addPolicy('AS RESTRICTIVE USING (id IN (SELECT note_id FROM hidden))');
    expect(await db.findingsOf('RLS029')).toEqual([]);
    await db.reset();
    await db.addPolicy(
      'AS RESTRICTIVE FOR DELETE USING (EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid = id))',
    );
    expect(await db.findingsOf('RLS029')).toEqual([]);
    await db.as(
      'migrator',
      `CREATE TABLE part (note_id int, tenant_id uuid NOT NULL);
       ALTER TABLE part ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
       CREATE POLICY through_note ON part USING (EXISTS (SELECT 1 FROM note n WHERE n.id = note_id));
       GRANT SELECT, INSERT ON part TO ${db.roles.app}`,
    );
    expect(await db.findingsOf('RLS029')).toEqual([]);
  });
});

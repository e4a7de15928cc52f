import { SERVER_VERSION } from '../support/database.js';
import { A, B, createNoteDatabase, declared, protectSql, type NoteDatabase } from './audit-support.js';

describe('RLS040 fk-not-tenant-scoped', () => {
  let db: NoteDatabase;
  const line = declared('line');
  const tables = () => [db.note, line];

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  beforeEach(async () => {
    await db.as(
      'migrator',
      `CREATE TABLE line (id int, tenant_id uuid NOT NULL, note_id int);
       ${protectSql(line, db.roles.admin)}
       GRANT SELECT, INSERT, UPDATE, DELETE ON line TO ${db.roles.app}`,
    );
  });
  afterEach(() => db.as('migrator', 'DROP TABLE line; DROP INDEX IF EXISTS note_id_tenant_key'));
  afterAll(() => db.drop());

  const addKey = (actions = '') =>
    db.as(
      'migrator',
      `ALTER TABLE line ADD CONSTRAINT fk FOREIGN KEY (note_id) REFERENCES note (id) ${actions}`,
    );
  const expectFound = async (object = 'constraint "fk" on table "public.line"') => {
    const findings = await db.findingsOf('RLS040', tables());
    expect(findings).toMatchObject([{ ruleId: 'RLS040', severity: 'critical', object }]);
    return findings[0]!;
  };

  /** What A's line references after A tried to delete its note, which PostgreSQL 14 refuses. */
  const noteIdAfterDelete = async () => {
    await db.asTenantA('DELETE FROM note WHERE id = 1').catch(() => {});
    const rows = await db.asTenantA<{ note_id: number | null }>('SELECT note_id FROM line');
    await db.asSuperuser(`INSERT INTO note VALUES (1, '${A}', 'a') ON CONFLICT DO NOTHING`);
    return rows[0]?.note_id;
  };

  it('a delete of one tenant deletes the row of another, and the key is found', async () => {
    await addKey('ON DELETE CASCADE');
    // Tenant B references the row of tenant A, which then takes B's row along.
    await db.as('app', `SET rls.current_tenant = '${B}'; INSERT INTO line VALUES (1, '${B}', 1)`);
    await db.asTenantA('DELETE FROM note WHERE id = 1');
    expect(await db.asSuperuser('SELECT * FROM line')).toEqual([]);
    await db.asSuperuser(`INSERT INTO note VALUES (1, '${A}', 'a')`);

    await db.as('migrator', (await expectFound()).fix);
    await expect(
      db.as('app', `SET rls.current_tenant = '${B}'; INSERT INTO line VALUES (1, '${B}', 1)`),
    ).rejects.toThrow('foreign key');
    await db.as('app', `SET rls.current_tenant = '${B}'; INSERT INTO line VALUES (1, '${B}', 2)`);
    expect(await db.findingsOf('RLS040', tables())).toEqual([]);
  });

  it('the error tells which rows of another tenant exist, until the key holds the tenants equal', async () => {
    await addKey();
    const reference = (id: number) => db.asTenantA(`INSERT INTO line VALUES (1, '${A}', ${id})`);
    await reference(2);
    await expect(reference(3)).rejects.toThrow('foreign key');
    await db.asSuperuser('TRUNCATE line');
    await db.as('migrator', (await expectFound()).fix);
    await expect(reference(2)).rejects.toThrow('foreign key');
    await expect(reference(3)).rejects.toThrow('foreign key');
    await reference(1);
  });

  it('the fix keeps what the key does, and what crosses tenants already makes it fail', async () => {
    await addKey('ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED');
    await db.asSuperuser(`INSERT INTO line VALUES (1, '${A}', 2)`);
    const { fix } = await expectFound();
    await expect(db.as('migrator', fix)).rejects.toThrow('violates foreign key constraint');
    // New rows are checked already; the old ones are RLS047's.
    expect(await db.findingsOf('RLS047', tables())).toMatchObject([{ severity: 'error' }]);
    expect(
      await db.asSuperuser(`SELECT pg_get_constraintdef(oid) AS is FROM pg_constraint WHERE conname = 'fk'`),
    ).toEqual([
      {
        is: 'FOREIGN KEY (tenant_id, note_id) REFERENCES note(tenant_id, id) ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED NOT VALID',
      },
    ]);
  });

  it('ON DELETE SET NULL keeps to the column where PostgreSQL can, and becomes NO ACTION on 14', async () => {
    await addKey('ON DELETE SET NULL');
    await db.asSuperuser(`INSERT INTO line VALUES (1, '${B}', 1)`);
    await db.asTenantA('DELETE FROM note WHERE id = 1');
    expect(await db.asSuperuser('SELECT note_id FROM line')).toEqual([{ note_id: null }]);
    await db.asSuperuser(`INSERT INTO note VALUES (1, '${A}', 'a'); TRUNCATE line`);

    await db.as('migrator', (await expectFound()).fix);
    await db.asTenantA(`INSERT INTO line VALUES (1, '${A}', 1)`);
    expect(await noteIdAfterDelete()).toBe(SERVER_VERSION >= 150000 ? null : 1);
    for (const id of ['RLS040', 'RLS042']) expect(await db.findingsOf(id, tables())).toEqual([]);
  });

  it('a key of a partitioned table is found once, and fixed for all partitions', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE event (tenant_id uuid NOT NULL, note_id int REFERENCES note (id)) PARTITION BY HASH (tenant_id);
       CREATE TABLE event_0 PARTITION OF event FOR VALUES WITH (MODULUS 1, REMAINDER 0)`,
    );
    const { fix } = await expectFound('constraint "event_note_id_fkey" on table "public.event"');
    await db.as('migrator', fix);
    expect(await db.findingsOf('RLS040', tables())).toEqual([]);
    await expect(db.asSuperuser(`INSERT INTO event VALUES ('${A}', 2)`)).rejects.toThrow('foreign key');
    await db.as('migrator', 'DROP TABLE event');
  });

  it('says nothing of keys to the tenants, to shared tables, nor of a join table that its policy holds to both sides', async () => {
    const links = declared('links', {
      kind: 'join-table',
      sides: [{ table: 'note', columns: [{ column: 'note_id', referencedColumn: 'id' }] }],
    });
    await db.as(
      'migrator',
      `CREATE TABLE tenant (id uuid PRIMARY KEY); CREATE TABLE country (id int PRIMARY KEY);
       CREATE TABLE links (note_id int REFERENCES note (id)); ${protectSql(links, db.roles.admin)}
       GRANT INSERT ON links TO ${db.roles.app};
       ALTER TABLE line ADD FOREIGN KEY (tenant_id) REFERENCES tenant (id), ADD country int REFERENCES country (id)`,
    );
    expect(await db.findingsOf('RLS040', [...tables(), links])).toEqual([]);
    // The policy comes before the key: no error tells a row of another tenant from none.
    for (const id of [2, 3])
      await expect(db.asTenantA(`INSERT INTO links VALUES (${id})`)).rejects.toThrow('row-level security');
    await db.as('migrator', 'DROP TABLE links; DROP TABLE line, tenant, country; CREATE TABLE line ()');
  });
});

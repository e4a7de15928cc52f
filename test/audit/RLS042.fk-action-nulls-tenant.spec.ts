import { SERVER_VERSION } from '../support/database.js';
import { A, B, createNoteDatabase, declared, protectSql, type NoteDatabase } from './audit-support.js';

/** Lists of columns exist since PostgreSQL 15. */
const since15 = SERVER_VERSION >= 150000 ? it : it.skip;

describe('RLS042 fk-action-nulls-tenant', () => {
  let db: NoteDatabase;
  const line = declared('line');
  const tables = () => [db.note, line];

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as('migrator', 'ALTER TABLE note ADD UNIQUE (tenant_id, id)');
  });
  afterEach(async () => {
    await db.as('migrator', 'DROP TABLE IF EXISTS line');
    await db.asSuperuser(`TRUNCATE note; INSERT INTO note VALUES (1, '${A}', 'a'), (2, '${B}', 'b')`);
  });
  afterAll(() => db.drop());

  const createLine = async (tenantColumn: string, key: string) => {
    await db.as(
      'migrator',
      `CREATE TABLE line (tenant_id uuid ${tenantColumn}, note_id int, body text);
       ALTER TABLE line ADD CONSTRAINT fk ${key};
       ${protectSql(line, db.roles.admin)}
       GRANT SELECT, INSERT, UPDATE, DELETE ON line TO ${db.roles.app}`,
    );
    await db.asTenantA(`INSERT INTO line VALUES ('${A}', 1, 'of A')`);
  };
  const expectFound = async () => {
    const findings = await db.findingsOf('RLS042', tables());
    expect(findings).toMatchObject([
      { ruleId: 'RLS042', severity: 'error', object: 'constraint "fk" on table "public.line"' },
    ]);
    return findings[0]!;
  };
  const refill = () =>
    db.asSuperuser(
      `TRUNCATE line; INSERT INTO note VALUES (1, '${A}', 'a') ON CONFLICT DO NOTHING; INSERT INTO line VALUES ('${A}', 1, 'of A')`,
    );
  /** Deletes A's note. What the fix does where PostgreSQL has no list of columns: the delete is refused. */
  const expectTenantKept = async () => {
    const deletion = db.asTenantA('DELETE FROM note WHERE id = 1');
    if (SERVER_VERSION >= 150000) await deletion;
    else await expect(deletion).rejects.toThrow('foreign key');
    expect(await db.asTenantA('SELECT body FROM line')).toEqual([{ body: 'of A' }]);
    expect(await db.findingsOf('RLS042', tables())).toEqual([]);
  };
  const key = 'FOREIGN KEY (tenant_id, note_id) REFERENCES note (tenant_id, id)';

  it('SET NULL takes the tenant from a row, which its tenant loses, and the key is found', async () => {
    await createLine('', `${key} ON DELETE SET NULL`);
    await db.asTenantA('DELETE FROM note WHERE id = 1');
    expect(await db.asTenantA('SELECT * FROM line')).toEqual([]);
    expect(await db.asSuperuser('SELECT tenant_id, body FROM line')).toEqual([
      { tenant_id: null, body: 'of A' },
    ]);

    await refill();
    await db.as('migrator', (await expectFound()).fix);
    await expectTenantKept();
  });

  it('SET DEFAULT writes a row into another tenant, which the policy forbids, and the key is found', async () => {
    await createLine(`DEFAULT '${B}' NOT NULL`, `${key} ON DELETE SET DEFAULT`);
    await expect(db.asTenantA(`UPDATE line SET tenant_id = '${B}'`)).rejects.toThrow('row-level security');
    await db.asTenantA('DELETE FROM note WHERE id = 1');
    const seenByB = `SET rls.current_tenant = '${B}'; SELECT body FROM line`;
    expect(await db.as('app', seenByB)).toEqual([{ body: 'of A' }]);

    await refill();
    const { fix, message } = await expectFound();
    expect(message).toContain('ON DELETE SET DEFAULT');
    await db.as('migrator', fix);
    await expectTenantKept();
    expect(await db.as('app', seenByB)).toEqual([]);
  });

  it('ON UPDATE takes no list, and becomes NO ACTION', async () => {
    await createLine('', `${key} ON UPDATE SET NULL`);
    await db.asTenantA('UPDATE note SET id = 10 WHERE id = 1');
    expect(await db.asTenantA('SELECT * FROM line')).toEqual([]);

    await refill();
    await db.as('migrator', (await expectFound()).fix);
    await expect(db.asTenantA('UPDATE note SET id = 11 WHERE id = 1')).rejects.toThrow('foreign key');
    expect(await db.findingsOf('RLS042', tables())).toEqual([]);
  });

  it('the key to the tenants is found, too: deleting a tenant would leave its rows to nobody', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE tenant (id uuid PRIMARY KEY); INSERT INTO tenant VALUES ('${A}');
       GRANT SELECT, DELETE ON tenant TO ${db.roles.app}`,
    );
    await createLine('', 'FOREIGN KEY (tenant_id) REFERENCES tenant (id) ON DELETE SET NULL');
    await db.asTenantA('BEGIN; DELETE FROM tenant; ROLLBACK');
    await db.as('migrator', (await expectFound()).fix);
    await expect(db.asTenantA('DELETE FROM tenant')).rejects.toThrow('foreign key');
    expect(await db.findingsOf('RLS042', tables())).toEqual([]);
    await db.as('migrator', 'DROP TABLE line, tenant');
  });

  since15('says nothing of lists without the tenant column, and finds those with it', async () => {
    await createLine('', `${key} ON DELETE SET NULL (note_id)`);
    expect(await db.findingsOf('RLS042', tables())).toEqual([]);
    await db.as(
      'migrator',
      `ALTER TABLE line DROP CONSTRAINT fk, ADD CONSTRAINT fk ${key} ON DELETE SET NULL (note_id, tenant_id)`,
    );
    await expectFound();
  });

  it('says nothing of CASCADE and NO ACTION', async () => {
    await createLine('NOT NULL', `${key} ON DELETE CASCADE ON UPDATE CASCADE`);
    expect(await db.findingsOf('RLS042', tables())).toEqual([]);
  });
});

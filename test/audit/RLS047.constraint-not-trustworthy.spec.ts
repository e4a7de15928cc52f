import { SERVER_VERSION } from '../support/database.js';
import { A, createNoteDatabase, declared, protectSql, type NoteDatabase } from './audit-support.js';

/** NOT ENFORCED exists since PostgreSQL 18. */
const since18 = SERVER_VERSION >= 180000 ? it : it.skip;

describe('RLS047 constraint-not-trustworthy', () => {
  let db: NoteDatabase;
  const line = declared('line');
  const tables = () => [db.note, line];
  const key = 'FOREIGN KEY (tenant_id, note_id) REFERENCES note (tenant_id, id)';

  beforeAll(async () => {
    db = await createNoteDatabase();
    await db.as('migrator', 'ALTER TABLE note ADD UNIQUE (tenant_id, id)');
  });
  beforeEach(async () => {
    await db.as(
      'migrator',
      `CREATE TABLE line (tenant_id uuid NOT NULL, note_id int);
       ${protectSql(line, db.roles.admin)} GRANT SELECT, INSERT, UPDATE ON line TO ${db.roles.app}`,
    );
    // From before there was a key with the tenant in it.
    await db.asSuperuser(`INSERT INTO line VALUES ('${A}', 2)`);
  });
  afterEach(() => db.as('migrator', 'DROP TABLE line'));
  afterAll(() => db.drop());

  const found = () => db.findingsOf('RLS047', tables());
  const leaked = () => db.asTenantA('SELECT note_id FROM line');
  const expectFailsUntilCleaned = async (fix: string, run: (sql: string) => Promise<unknown>) => {
    await expect(run(fix)).rejects.toThrow('violates foreign key constraint');
    expect(await leaked()).toEqual([{ note_id: 2 }]);
    await db.asSuperuser('UPDATE line SET note_id = NULL');
    await run(fix);
    expect(await leaked()).toEqual([{ note_id: null }]);
    expect(await found()).toEqual([]);
  };

  it('NOT VALID lets a tenant keep the id of another’s row, and the key is found', async () => {
    await db.as('migrator', `ALTER TABLE line ADD CONSTRAINT fk ${key} NOT VALID`);
    expect(await leaked()).toEqual([{ note_id: 2 }]);
    expect(await db.seenByA()).toEqual(['a']);
    const findings = await found();
    expect(findings).toMatchObject([
      { ruleId: 'RLS047', severity: 'error', object: 'constraint "fk" on table "public.line"' },
    ]);
    await expectFailsUntilCleaned(findings[0]!.fix, (sql) => db.as('migrator', sql));
  });

  it('a role that sees no rows validates whatever is there; the key looks proven, and its owner is named', async () => {
    await db.asSuperuser(`REVOKE ${db.roles.admin} FROM ${db.roles.migrator}`);
    await db.as('migrator', `ALTER TABLE line ADD CONSTRAINT fk ${key}`);
    await db.as('migrator', 'ALTER TABLE line VALIDATE CONSTRAINT fk');
    expect(await db.asSuperuser(`SELECT convalidated FROM pg_constraint WHERE conname = 'fk'`)).toEqual([
      { convalidated: true },
    ]);
    expect(await leaked()).toEqual([{ note_id: 2 }]);

    const findings = await found();
    expect(findings).toMatchObject([
      { severity: 'info', message: expect.stringContaining(db.roles.migrator) },
    ]);
    await expectFailsUntilCleaned(findings[0]!.fix, (sql) => db.asSuperuser(sql));
  });

  it('with row_security off, such a validation is an error instead', async () => {
    await db.asSuperuser(`REVOKE ${db.roles.admin} FROM ${db.roles.migrator}`);
    await expect(
      db.as('migrator', `SET row_security = off; ALTER TABLE line ADD CONSTRAINT fk ${key}`),
    ).rejects.toThrow('row-level security');
    await db.asSuperuser(`GRANT ${db.roles.admin} TO ${db.roles.migrator}`);
  });

  it('a CHECK is validated by a scan, which no policy filters', async () => {
    await db.asSuperuser(`REVOKE ${db.roles.admin} FROM ${db.roles.migrator}`);
    await db.as('migrator', 'ALTER TABLE line ADD CONSTRAINT small CHECK (note_id < 2) NOT VALID');
    const { fix, severity } = (await found())[0]!;
    expect(severity).toBe('error');
    await expect(db.as('migrator', fix)).rejects.toThrow('violated by some row');
    await db.asSuperuser('UPDATE line SET note_id = 1');
    await db.as('migrator', fix);
    expect(await found()).toEqual([]);
    await db.asSuperuser(`GRANT ${db.roles.admin} TO ${db.roles.migrator}`);
  });

  since18('NOT ENFORCED checks no row at all, and is found', async () => {
    await db.as(
      'migrator',
      `ALTER TABLE line ADD CONSTRAINT fk ${key} NOT ENFORCED, ADD CONSTRAINT small CHECK (note_id < 2) NOT ENFORCED`,
    );
    await db.asTenantA(`INSERT INTO line VALUES ('${A}', 2)`);
    const findings = await found();
    expect(findings).toMatchObject([
      { object: 'constraint "fk" on table "public.line"', message: expect.stringContaining('NOT ENFORCED') },
      { object: 'constraint "small" on table "public.line"', severity: 'error' },
    ]);
    await db.asSuperuser('UPDATE line SET note_id = 1');
    for (const { fix } of findings) await db.as('migrator', fix);
    await expect(db.asTenantA(`INSERT INTO line VALUES ('${A}', 2)`)).rejects.toThrow('violates');
    expect(await found()).toEqual([]);
  });
});

import pg from 'pg';
import { inheritSql, SERVER_VERSION, since16 } from '../support/database.js';
import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

/** The privilege exists since then. */
const since17 = SERVER_VERSION >= 170000 ? it : it.skip;

describe('RLS026 privileges-outside-rls', () => {
  let db: NoteDatabase;

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterAll(() => db.drop());

  const expectFixed = async (severity: string) => {
    const { findings } = await db.audit();
    expect(findings).toMatchObject([{ ruleId: 'RLS026', severity, object: 'table "public.note"' }]);
    await db.as('migrator', findings[0]!.fix);
    expect(await db.findings()).toEqual([]);
    return findings[0]!.message;
  };

  it('TRUNCATE deletes the rows of every tenant, and is found', async () => {
    await db.as('migrator', `GRANT TRUNCATE ON note TO ${db.roles.app}`);
    await db.asTenantA('BEGIN; TRUNCATE note; ROLLBACK');
    await expectFixed('critical');
    await expect(db.asTenantA('TRUNCATE note')).rejects.toThrow('permission denied');
    expect(await db.asSuperuser('SELECT * FROM note')).toHaveLength(2);
  });

  it('TRIGGER puts code of the app role into the writes of others, and is found', async () => {
    await db.as('migrator', `GRANT TRIGGER ON note TO ${db.roles.app}`);
    const attach =
      'CREATE TRIGGER t BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()';
    await db.asTenantA(attach);
    expect(await db.asSuperuser('UPDATE note SET body = body RETURNING id')).toEqual([]);
    await db.asSuperuser('DROP TRIGGER t ON note');
    await expectFixed('critical');
    await expect(db.asTenantA(attach)).rejects.toThrow('permission denied');
  });

  it('REFERENCES tells whether a row of another tenant exists, and is found', async () => {
    await db.as(
      'migrator',
      `GRANT REFERENCES (id) ON note TO PUBLIC; CREATE SCHEMA scratch; GRANT ALL ON SCHEMA scratch TO ${db.roles.app}`,
    );
    await db.asTenantA('CREATE TABLE scratch.oracle (id int REFERENCES note (id))');
    await db.asTenantA('INSERT INTO scratch.oracle VALUES (2)');
    await expect(db.asTenantA('INSERT INTO scratch.oracle VALUES (3)')).rejects.toThrow('foreign key');
    await db.as('app', 'DROP TABLE scratch.oracle');

    expect(await expectFixed('error')).toContain('REFERENCES on column "id" through PUBLIC');
    await expect(db.asTenantA('CREATE TABLE scratch.oracle (id int REFERENCES note (id))')).rejects.toThrow(
      'permission denied',
    );
  });

  since16(
    'a privilege of a role that the app role inherits is found, of another role it is not',
    async () => {
      const other = `other_${db.roles.app}`;
      await db.asSuperuser(`CREATE ROLE ${other}; ${inheritSql(db.roles.app, other, false)}`);
      await db.as('migrator', `GRANT TRUNCATE ON note TO ${other}`);
      expect(await db.findings()).toEqual([]);

      await db.asSuperuser(inheritSql(db.roles.app, other, true));
      await db.asTenantA('BEGIN; TRUNCATE note; ROLLBACK');
      expect(await expectFixed('critical')).toContain(`through role "${other}"`);
      await db.asSuperuser(`DROP OWNED BY ${other}; DROP ROLE ${other}`);
    },
  );

  since17('MAINTAIN tells how many rows all tenants have, and is found', async () => {
    await db.as('migrator', `GRANT MAINTAIN ON note TO ${db.roles.app}`);
    const told = async () => {
      const client = new pg.Client({ connectionString: db.url('app') });
      const notices: string[] = [];
      client.on('notice', ({ message }) => notices.push(message ?? ''));
      await client.connect();
      await client.query('ANALYZE VERBOSE note');
      await client.end();
      return notices.join('\n');
    };
    expect(await told()).toContain('containing 2 live rows');
    expect(await expectFixed('warning')).toContain('MAINTAIN');
    expect(await told()).toContain('permission denied to analyze');
  });
});

import { quoteLiteral } from '../../libs/rls-tenants/src/policies/index.js';
import { createNoteDatabase, type NoteDatabase } from './audit-support.js';

const RULE = 'RLS025';

describe('RLS025 foreign-or-loopback-access', () => {
  let db: NoteDatabase;
  let loopback: string;

  beforeAll(async () => {
    db = await createNoteDatabase();
    const { hostname, port } = new URL(db.url());
    loopback = `OPTIONS (host ${quoteLiteral(hostname)}, port ${quoteLiteral(port)}, dbname ${quoteLiteral(db.name)})`;
    await db.asSuperuser('CREATE EXTENSION postgres_fdw');
  });
  afterAll(() => db.drop());

  /** A server that is this very database, and a login on it that everybody has: the superuser's. */
  const createServer = () =>
    db.asSuperuser(
      `CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw ${loopback};
       CREATE USER MAPPING FOR PUBLIC SERVER self OPTIONS (user ${quoteLiteral(login().user)}, password ${quoteLiteral(login().password)}, password_required 'false')`,
    );
  const login = () => {
    const { username, password } = new URL(db.url());
    return { user: decodeURIComponent(username), password: decodeURIComponent(password) || 'none' };
  };

  it('finds nothing in the extensions themselves', async () => {
    await db.asSuperuser('CREATE EXTENSION dblink');
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.asSuperuser('DROP EXTENSION dblink');
  });

  it('a foreign table shows every tenant’s rows to whoever may read it, and is found', async () => {
    await createServer();
    await db.asSuperuser(
      `CREATE FOREIGN TABLE notes (id int, tenant_id uuid, body text) SERVER self OPTIONS (schema_name 'public', table_name 'note');
       CREATE FOREIGN TABLE country (name text) SERVER self;
       GRANT SELECT ON notes, country TO ${db.roles.app}`,
    );
    expect(await db.asTenantA('SELECT body FROM notes ORDER BY id')).toEqual([{ body: 'a' }, { body: 'b' }]);
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject(
      [
        // Nobody can say whose rows these are.
        { severity: 'warning', object: 'foreign table "public.country"' },
        { ruleId: RULE, severity: 'error', object: 'foreign table "public.notes"' },
      ].toReversed(),
    );

    for (const { fix } of findings) await db.asSuperuser(fix);
    await expect(db.asTenantA('SELECT body FROM notes')).rejects.toThrow('permission denied');
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.asSuperuser('DROP SERVER self CASCADE');
  });

  it('a server with a user mapping of PUBLIC’s lets the app role in as somebody else, and is found', async () => {
    await createServer();
    await db.asSuperuser(
      `GRANT USAGE ON FOREIGN SERVER self TO ${db.roles.app};
       CREATE SCHEMA scratch AUTHORIZATION ${db.roles.app}`,
    );
    const declare = `CREATE FOREIGN TABLE scratch.notes (body text) SERVER self OPTIONS (schema_name 'public', table_name 'note');`;
    expect(await db.asTenantA(`${declare} SELECT body FROM scratch.notes ORDER BY 1`)).toEqual([
      { body: 'a' },
      { body: 'b' },
    ]);
    await db.asSuperuser('DROP FOREIGN TABLE scratch.notes');
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([{ severity: 'error', object: 'foreign server "self"' }]);

    await db.asSuperuser(findings[0]!.fix);
    await expect(db.asTenantA(`${declare} SELECT body FROM scratch.notes`)).rejects.toThrow(
      'user mapping not found',
    );
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.asSuperuser('DROP SCHEMA scratch CASCADE');
  });

  it('a server that the app role cannot ask anything of is no finding, until there is dblink', async () => {
    await db.asSuperuser('CREATE USER MAPPING FOR PUBLIC SERVER self');
    expect(await db.findingsOf(RULE)).toEqual([]);
    await db.asSuperuser('CREATE EXTENSION dblink');
    expect(await db.findingsOf(RULE)).toMatchObject([
      { object: 'foreign server "self"', message: expect.stringContaining('call dblink()') },
    ]);
    await db.asSuperuser('DROP SERVER self CASCADE; DROP EXTENSION dblink');
  });

  it('a connection without a password lets the app role in as anybody, and is found', async () => {
    const { hostname, port, username, password } = new URL(db.url());
    const connect = `host=${hostname} port=${port} dbname=${db.name} user=${username}${password ? ` password=${password}` : ''}`;
    await db.asSuperuser('CREATE EXTENSION dblink');
    const read = `SELECT dblink_connect_u('c', ${quoteLiteral(connect)}); SELECT * FROM dblink('c', 'SELECT body FROM note ORDER BY 1') AS t(body text)`;
    await expect(db.asTenantA(read)).rejects.toThrow('permission denied');

    await db.asSuperuser(`GRANT EXECUTE ON FUNCTION dblink_connect_u(text, text) TO PUBLIC`);
    expect(await db.asTenantA(read)).toEqual([{ body: 'a' }, { body: 'b' }]);
    const findings = await db.findingsOf(RULE);
    expect(findings).toMatchObject([
      { severity: 'error', object: 'function "public.dblink_connect_u(text, text)"' },
    ]);

    await db.asSuperuser(findings[0]!.fix);
    await expect(db.asTenantA(read)).rejects.toThrow('permission denied');
    expect(await db.findingsOf(RULE)).toEqual([]);
  });
});

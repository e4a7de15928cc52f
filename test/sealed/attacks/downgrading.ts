import { a, b, loot, lootAfter, nobody, READ, TO_B, type Attack } from './attack.js';

/** Tries a command, alone and inside a block, and reads afterwards. */
const command = (sql: string) => [a(sql), a(READ), lootAfter(sql), a(READ)];

export const downgrading: readonly Attack[] = [
  {
    id: 'D01',
    title: 'SET ROLE to the admin role',
    tries: 'becomes the role that sees all rows',
    steps: command('SET ROLE {admin}'),
    undo: '',
    plain: 'leaks',
  },
  {
    id: 'D02',
    title: 'SET LOCAL ROLE in a text of several statements',
    tries: 'the same for one transaction',
    steps: [a(`SET LOCAL ROLE {admin}; ${READ}`)],
    plain: 'leaks',
  },
  {
    id: 'D03',
    title: "set_config('role')",
    tries: 'the same as a function, in the middle of a statement',
    steps: [
      a(
        `SELECT set_config('role', '{admin}', true), query_to_xml('SELECT body FROM public.note', true, true, '')`,
      ),
      loot(`PERFORM set_config('role', '{admin}', true);`),
    ],
    plain: 'leaks',
  },
  {
    id: 'D04',
    title: 'another session user',
    tries: 'SET SESSION AUTHORIZATION to the migration role, and to a superuser',
    steps: [
      ...command('SET SESSION AUTHORIZATION {migrator}'),
      ...command('SET SESSION AUTHORIZATION postgres'),
    ],
    plain: 'holds',
  },
  {
    id: 'D05',
    title: 'the owner of tables and keys',
    tries: 'SET ROLE to the migration role',
    steps: command('SET ROLE {migrator}'),
    plain: 'holds',
  },
  {
    id: 'D06',
    title: 'RESET ROLE',
    tries: 'hopes that the connection was somebody else before',
    steps: [...command('RESET ROLE'), ...command('RESET SESSION AUTHORIZATION'), ...command('SET ROLE NONE')],
    plain: 'holds',
  },
  {
    id: 'D07',
    title: 'row_security = off',
    tries: 'switches policies off: PostgreSQL then refuses instead',
    steps: [...command('SET row_security = off'), b(READ)],
    plain: 'holds',
  },
  {
    id: 'D08',
    title: 'session_replication_role',
    tries: 'switches triggers and constraints off',
    steps: [
      ...command('SET session_replication_role = replica'),
      a(
        `SET session_replication_role = replica; INSERT INTO note (tenant_id, body) VALUES ('{B}', 'planted')`,
      ),
    ],
    plain: 'holds',
  },
  {
    id: 'D09',
    title: 'ALTER TABLE',
    tries: 'disables row-level security, takes FORCE away, takes the table',
    steps: [
      ...command('ALTER TABLE note DISABLE ROW LEVEL SECURITY'),
      ...command('ALTER TABLE note NO FORCE ROW LEVEL SECURITY'),
      ...command('ALTER TABLE note OWNER TO {app}'),
      ...command('ALTER TABLE note ALTER tenant_id DROP NOT NULL'),
    ],
    plain: 'holds',
  },
  {
    id: 'D10',
    title: 'policies',
    tries: 'drops the policy, alters it, adds one that admits all',
    steps: [
      ...command('DROP POLICY note_tenant_isolation_policy ON note'),
      ...command('ALTER POLICY note_tenant_isolation_policy ON note USING (true)'),
      ...command('CREATE POLICY open ON note USING (true)'),
    ],
    plain: 'holds',
  },
  {
    id: 'D11',
    title: 'the verifying function',
    tries: 'replaces it, alters it, drops it, takes it',
    steps: [
      ...command(
        `CREATE OR REPLACE FUNCTION rls.current_tenant() RETURNS text LANGUAGE sql AS $f$ SELECT '{B}' $f$`,
      ),
      ...command('ALTER FUNCTION rls.current_tenant() SECURITY INVOKER'),
      ...command('ALTER FUNCTION rls.current_tenant() SET search_path = public, pg_temp'),
      ...command('ALTER FUNCTION rls.current_tenant() OWNER TO {app}'),
      ...command('ALTER FUNCTION rls.current_tenant() RENAME TO was'),
      ...command('DROP FUNCTION rls.current_tenant() CASCADE'),
      ...command('ALTER SCHEMA rls RENAME TO was'),
    ],
    plain: 'nothing to take',
  },
  {
    id: 'D12',
    title: 'privileges',
    tries: 'grants itself the admin role, the owner, and the predefined roles that read all',
    steps: [
      ...command('GRANT {admin} TO {app}'),
      ...command('GRANT {migrator} TO {app}'),
      ...command('GRANT pg_read_all_data TO {app}'),
      ...command('GRANT pg_read_server_files TO {app}'),
      ...command('GRANT ALL ON ALL TABLES IN SCHEMA rls TO {app}'),
    ],
    plain: 'holds',
  },
  {
    id: 'D13',
    title: 'attributes of its own role',
    tries: 'ALTER ROLE … BYPASSRLS, SUPERUSER, INHERIT, REPLICATION, CREATEROLE',
    steps: ['BYPASSRLS', 'SUPERUSER', 'INHERIT', 'REPLICATION', 'CREATEROLE'].flatMap((attribute) =>
      command(`ALTER ROLE {app} ${attribute}`),
    ),
    plain: 'holds',
  },
  {
    id: 'D14',
    title: 'defaults of its own role',
    tries: 'ALTER ROLE … SET, which any role may: tenant and role for each connection from then on',
    steps: [
      a(`ALTER ROLE {app} SET rls.current_tenant = '{B}'`),
      a(`ALTER ROLE {app} SET rls.seal = '1.first.99999999999.0.00'`),
      a(`ALTER ROLE {app} SET role = '{admin}'`),
      { by: 'A', sql: 'SELECT pg_terminate_backend(pg_backend_pid())' },
      nobody(READ),
      a(READ),
    ],
    undo: 'ALTER ROLE {app} RESET ALL',
    plain: 'leaks',
  },
  {
    id: 'D15',
    title: 'a password of its own',
    tries:
      "changes the application's password, which any role may, and hopes that a login of its own shows more",
    steps: [a(`ALTER ROLE {app} PASSWORD 'test'`), lootAfter(`SELECT ${TO_B}`)],
    undo: `ALTER ROLE {app} PASSWORD 'test'`,
    plain: 'leaks',
  },
  {
    id: 'D16',
    title: 'the database and the server',
    tries: 'ALTER DATABASE … SET, ALTER SYSTEM, pg_reload_conf()',
    steps: [
      ...command(`ALTER DATABASE {db} SET rls.current_tenant = '{B}'`),
      ...command('ALTER DATABASE {db} OWNER TO {app}'),
      ...command(`ALTER SYSTEM SET rls.current_tenant = '{B}'`),
      a('SELECT pg_reload_conf()'),
    ],
    plain: 'holds',
  },
  {
    id: 'D17',
    title: 'ownership of everything',
    tries: "REASSIGN OWNED, and dropping what is the migration role's",
    steps: [
      ...command('REASSIGN OWNED BY {migrator} TO {app}'),
      ...command('DROP OWNED BY {migrator}'),
      ...command('DROP TABLE note'),
      ...command('TRUNCATE note CASCADE'),
    ],
    plain: 'holds',
  },
  {
    id: 'D18',
    title: 'code that runs for others',
    tries: 'a rule, a trigger, an event trigger, a foreign key on the table',
    steps: [
      ...command('CREATE RULE r AS ON INSERT TO note DO ALSO NOTIFY loot'),
      ...command(
        'CREATE TRIGGER t BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
      ),
      ...command('CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION pg_notify()'),
      ...command('CREATE TABLE mine (note_id int REFERENCES note (id))'),
      b(READ),
    ],
    plain: 'holds',
  },
  {
    id: 'D19',
    title: 'the catalog by hand',
    tries: 'UPDATE pg_class, pg_policy, pg_authid, pg_proc',
    steps: [
      ...command(`UPDATE pg_class SET relrowsecurity = false WHERE relname = 'note'`),
      ...command('DELETE FROM pg_policy'),
      ...command(`UPDATE pg_authid SET rolbypassrls = true WHERE rolname = '{app}'`),
      ...command(`UPDATE pg_proc SET prosecdef = false WHERE proname = 'current_tenant'`),
    ],
    plain: 'holds',
  },
  {
    id: 'D20',
    title: 'extensions, languages and libraries',
    tries: 'CREATE EXTENSION, an untrusted language, LOAD, a security label',
    steps: [
      ...command('CREATE EXTENSION dblink'),
      ...command('CREATE EXTENSION pageinspect'),
      ...command(`LOAD '$libdir/auto_explain'`),
      ...command(`SET local_preload_libraries = 'auto_explain'`),
      ...command(`SECURITY LABEL ON TABLE note IS 'open'`),
      ...command(
        `CREATE FUNCTION public.f(text) RETURNS text LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler'`,
      ),
    ],
    plain: 'holds',
  },
  {
    id: 'D21',
    title: 'a row moved to B, and one taken from it',
    tries: 'changes the tenant column of its own row, and names rows of B by their keys',
    steps: [
      a(`UPDATE note SET tenant_id = '{B}'`),
      a(`INSERT INTO note (tenant_id, body) VALUES ('{B}', 'planted')`),
      a(`UPDATE note SET body = 'defaced' WHERE id = 101`),
      a(`UPDATE note SET tenant_id = '{A}' WHERE id = 101`),
      a(`DELETE FROM note WHERE tenant_id = '{B}'`),
      a(`INSERT INTO note (id, body) VALUES (101, 'x') ON CONFLICT (id) DO UPDATE SET body = 'defaced'`),
      a(
        `INSERT INTO note (id, body) VALUES (101, 'x') ON CONFLICT (id) DO UPDATE SET tenant_id = EXCLUDED.tenant_id RETURNING *`,
      ),
    ],
    plain: 'holds',
  },
];

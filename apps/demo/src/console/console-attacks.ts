/** Something to try, with the reason why it gives nothing away. */
export interface ConsoleAttack {
  readonly id: string;
  readonly title: string;
  readonly why: string;
  readonly sql: string;
}

/**
 * The attacks that the page offers.
 *
 * @param other id of another workspace, which the visitor is to reach.
 */
export function consoleAttacks(other: string): ConsoleAttack[] {
  return [
    {
      id: 'forge-setting',
      title: 'Forge the setting',
      why: 'Each statement of a text brings the tenant of the token, with its seal, in the same message: what the first one set is gone when the second begins.',
      sql: `SELECT set_config('rls.current_tenant', '${other}', true);
SELECT tenant_id, title FROM task;`,
    },
    {
      id: 'forge-inside',
      title: 'Forge it inside one block',
      why: 'The tenant is forged when the policy asks, but the seal was made for another one, and nobody can make one without the key.',
      sql: `DO $$
DECLARE stolen text;
BEGIN
  PERFORM set_config('rls.current_tenant', '${other}', true);
  SELECT string_agg(title, ', ') INTO stolen FROM task;
  RAISE EXCEPTION 'their tasks: %', stolen;
END $$;`,
    },
    {
      id: 'mid-statement',
      title: 'Change tenants mid-statement',
      why: 'The policy asks once for each statement. Asked before the change it answers with the own tenant, asked after it, it refuses.',
      sql: `SELECT title, tenant_id,
       set_config('rls.current_tenant', '${other}', true) AS forged
FROM task;`,
    },
    {
      id: 'no-seal',
      title: 'Come without a seal',
      why: 'A tenant without a seal is refused. There is no other way in: no mode in which the setting alone counts.',
      sql: `DO $$ BEGIN
  PERFORM set_config('rls.seal', '', true);
  PERFORM set_config('rls.current_tenant', '${other}', true);
  PERFORM count(*) FROM task;
END $$;`,
    },
    {
      id: 'read-key',
      title: 'Read the key',
      why: 'The keys belong to the owner of the tables, and this login has no right to them. The function that checks seals reads them with its owner’s rights.',
      sql: 'SELECT * FROM rls.seal_key;',
    },
    {
      id: 'set-role',
      title: 'Become the admin',
      why: 'Admin work has a login of its own. Neither this login nor that of the application is a member of the admin role.',
      sql: 'SET ROLE rls_admin;\nSELECT tenant_id, title FROM task;',
    },
    {
      id: 'commit',
      title: 'COMMIT; then read',
      why: 'A new transaction has no tenant left over, and the next statement brings the own one again.',
      sql: `COMMIT;
SELECT set_config('rls.current_tenant', '${other}', false);
SELECT tenant_id, title FROM task;`,
    },
    {
      id: 'row-security-off',
      title: 'Switch policies off',
      why: 'For whoever is subject to policies, row_security = off does not lift them: it makes the statement fail.',
      sql: 'SET row_security = off;\nSELECT tenant_id, title FROM task;',
    },
    {
      id: 'shadow-table',
      title: 'Shadow a table',
      why: 'The login may make no temporary objects, and nothing in a schema, so that no name can be put in front of another.',
      sql: 'CREATE TEMPORARY TABLE task AS SELECT * FROM public.task;',
    },
    {
      id: 'shadow-function',
      title: 'Shadow a function',
      why: 'The verifying function has a search path of its own and names everything in full; and the login may create no function to fool anybody with.',
      sql: `CREATE FUNCTION public.sha256(bytea) RETURNS bytea
  LANGUAGE sql AS 'SELECT ''x''::bytea';`,
    },
    {
      id: 'activity',
      title: 'Read others’ seals',
      why: 'Seals are bind parameters, which no other session can see; and of the statements of other visitors even the texts are hidden here.',
      sql: `SELECT pid, usename, state, query
FROM pg_stat_activity
WHERE pid <> pg_backend_pid();`,
    },
    {
      id: 'replay',
      title: 'Move the own seal',
      why: 'The seal can be read, because it is the visitor’s own. It is signed for their workspace, for this backend and for a few minutes: with another tenant beside it, it is worth nothing.',
      sql: `DO $$
DECLARE my_seal CONSTANT text := current_setting('rls.seal');
BEGIN
  PERFORM set_config('rls.current_tenant', '${other}', true),
          set_config('rls.seal', my_seal, true);
  PERFORM count(*) FROM task;
  RAISE EXCEPTION 'it worked, with %', my_seal;
END $$;`,
    },
    {
      id: 'oracle',
      title: 'Let errors tell',
      why: 'A division by zero for each of their rows: conditions see no row before the policy has admitted it, so that nothing is divided.',
      sql: `SELECT 1 / (CASE WHEN title LIKE '%' THEN 0 ELSE 1 END)
FROM task
WHERE tenant_id = '${other}';`,
    },
    {
      id: 'plant',
      title: 'Plant a row',
      why: 'A policy’s WITH CHECK holds for what is written. With the project of another workspace, the composite foreign key would stop it as well.',
      sql: `INSERT INTO project (tenant_id, name)
VALUES ('${other}', 'Planted by a neighbour');`,
    },
    {
      id: 'leave-behind',
      title: 'Leave something behind',
      why: 'A prepared statement, a session setting or a lock lasts as long as its connection, and that is thrown away after each run.',
      sql: `PREPARE trap AS SELECT 'caught';
SELECT set_config('search_path', 'pg_temp, public', false);
LISTEN everything;
SELECT pg_advisory_lock(1);`,
    },
  ];
}

import { DEMO_ROLES } from './roles.js';

const { adminRole, consoleRole } = DEMO_ROLES;

/**
 * The role that runs what visitors type: a tenant's login like the app role, with grants of its own. A login may change
 * its own password and its own defaults, and end its own sessions; being another role than the app role, a visitor does
 * that to the console and not to the demo. To be run as a superuser, whenever the demo starts: it takes back what
 * visitors changed.
 */
export function consoleRoleSql(): string[] {
  return [
    `DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${consoleRole}') THEN
    CREATE ROLE ${consoleRole} LOGIN NOINHERIT;
  END IF;
END $$`,
    `ALTER ROLE ${consoleRole} CONNECTION LIMIT 16`,
    `ALTER ROLE ${consoleRole} RESET ALL`,
    `DO $$ BEGIN
  EXECUTE format('ALTER ROLE ${consoleRole} IN DATABASE %I RESET ALL', current_database());
END $$`,
    // All visitors are one role, and PostgreSQL shows a role the texts of all its sessions. The role itself may not change
    // these two: they are a superuser's.
    `ALTER ROLE ${consoleRole} SET track_activities = off`,
    `ALTER ROLE ${consoleRole} SET temp_file_limit = '64MB'`,
    // An admin context ends a run that took too long: a cancelled statement may go on, a terminated backend does not.
    `GRANT ${consoleRole} TO ${adminRole}`,
    ...keepGrantsSql(),
  ];
}

/** A role may DROP OWNED what is its own, and its privileges on the tables are: without them there is no console. */
function keepGrantsSql(): string[] {
  return [
    `CREATE OR REPLACE FUNCTION public.demo_keep_grants() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  IF session_user = '${consoleRole}' THEN
    RAISE EXCEPTION 'the console keeps its privileges' USING ERRCODE = 'insufficient_privilege';
  END IF;
END $$`,
    'DROP EVENT TRIGGER IF EXISTS demo_keep_grants',
    `CREATE EVENT TRIGGER demo_keep_grants ON ddl_command_start WHEN TAG IN ('DROP OWNED')
  EXECUTE FUNCTION public.demo_keep_grants()`,
  ];
}

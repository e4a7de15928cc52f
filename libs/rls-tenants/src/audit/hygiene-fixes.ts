import { quoteIdentifier, quoteLiteral, quoteRole } from '../policies/index.js';
import type { CatalogEventTrigger, CatalogFunction, CatalogStoredSetting } from './database-catalog.js';

// The SQL that findings about drift and hygiene tell people to run. The audit itself runs none of it.

/**
 * The command tags under which tables come into being. A table within CREATE SCHEMA has the tag of that, and CREATE
 * TABLE AS and SELECT INTO have their own.
 */
export const TABLE_TAGS: readonly string[] = [
  'CREATE TABLE',
  'CREATE TABLE AS',
  'SELECT INTO',
  'CREATE SCHEMA',
];

const GUARD = 'rls_guard';

/** An event trigger that enables and forces row-level security on every table that is made, which then shows no row. */
export function createGuard(): string {
  return `-- As a superuser. Disable row-level security again on tables that are meant for every tenant.
CREATE FUNCTION ${GUARD}() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  made record;
BEGIN
  FOR made IN SELECT DISTINCT objid FROM pg_event_trigger_ddl_commands() JOIN pg_class ON pg_class.oid = objid
    WHERE classid = 'pg_class'::regclass AND relkind IN ('r', 'p') AND relpersistence <> 't'
  LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', made.objid::regclass);
  END LOOP;
END $$;
${createEventTrigger(GUARD, `${GUARD}()`, TABLE_TAGS)}`;
}

/** The tags of an event trigger cannot be altered. */
export function remakeGuard(
  { name }: CatalogEventTrigger,
  { schema, name: functionName }: CatalogFunction,
  tags: readonly string[],
): string {
  const guard = `${quoteIdentifier(schema)}.${quoteIdentifier(functionName)}()`;
  return `BEGIN;\nDROP EVENT TRIGGER ${quoteIdentifier(name)};\n${createEventTrigger(name, guard, tags)}\nCOMMIT;`;
}

function createEventTrigger(name: string, call: string, tags: readonly string[]): string {
  return `CREATE EVENT TRIGGER ${quoteIdentifier(name)} ON ddl_command_end WHEN TAG IN (${tags.map(quoteLiteral).join(', ')}) EXECUTE FUNCTION ${call};`;
}

/** Makes an event trigger fire again. */
export function enableEventTrigger({ name }: CatalogEventTrigger): string {
  return `ALTER EVENT TRIGGER ${quoteIdentifier(name)} ENABLE;`;
}

/** Ends what a publication sends. */
export function dropPublication(name: string): string {
  return `DROP PUBLICATION ${quoteIdentifier(name)};`;
}

/** Ends a replication slot. */
export function dropReplicationSlot(name: string): string {
  return `SELECT pg_drop_replication_slot(${quoteLiteral(name)});`;
}

/** Removes a stored setting of PostgreSQL's own. */
export function resetStoredSetting({ role, database, setting }: CatalogStoredSetting): string {
  const name = quoteIdentifier(setting);
  if (role === null && database !== null) return `ALTER DATABASE ${quoteIdentifier(database)} RESET ${name};`;
  const inDatabase = database === null ? '' : ` IN DATABASE ${quoteIdentifier(database)}`;
  return `ALTER ROLE ${role === null ? 'ALL' : quoteRole(role)}${inDatabase} RESET ${name};`;
}

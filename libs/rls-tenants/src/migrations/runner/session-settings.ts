import type { QueryRunner } from 'typeorm';
import type { RlsConfigurationError } from '../../errors.js';
import { admissionProblem } from '../admission.js';

/**
 * The tables under row-level security that belong to the current role. A name with a dot in it cannot be written in
 * TypeORM's notation, so that no operation can name it either.
 */
const OWN_PROTECTED_TABLES = `
SELECT nspname || '.' || relname AS "table" FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p') AND pg_has_role(relowner, 'USAGE') AND row_security_active(c.oid)
  AND strpos(nspname || relname, '.') = 0`;

/**
 * Makes the session what it was when it connected, whatever the last migration left, and ready for the next one.
 *
 * Where the role is not admitted to all rows of its own tables, `row_security = off`: what would silently see or change
 * too few rows fails with 42501 instead. What needs all rows of one table (`withAllRows`) or one tenant's sets its own.
 *
 * @returns what the role is not admitted to.
 */
export async function prepareSession(
  queryRunner: QueryRunner,
  migrationName: string,
): Promise<RlsConfigurationError | undefined> {
  await queryRunner.query('RESET SESSION AUTHORIZATION');
  await queryRunner.query('RESET ALL');
  await set(queryRunner, 'application_name', `migration:${migrationName}`);
  // A server process whose client is gone would go on until its statement ends; not every platform can tell.
  await set(queryRunner, 'client_connection_check_interval', '2s').catch(() => undefined);
  const tables = (await queryRunner.query(OWN_PROTECTED_TABLES)) as { table: string }[];
  const problem = await admissionProblem(
    queryRunner,
    tables.map(({ table }) => table),
  );
  if (problem) await set(queryRunner, 'row_security', 'off');
  // TypeORM remembers tables, also such as a rolled back attempt made.
  Object.assign(queryRunner, { loadedTables: [], loadedViews: [] });
  return problem;
}

function set(queryRunner: QueryRunner, name: string, value: string): Promise<unknown> {
  return queryRunner.query('SELECT set_config($1, $2, false)', [name, value]);
}

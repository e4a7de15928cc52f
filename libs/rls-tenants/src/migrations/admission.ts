import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import { quoteTable } from '../policies/index.js';

/** A table some of whose rows row-level security would hide from the migration's role. */
interface HiddenTable {
  table: string;
  role: string;
  /** Roles that have an unconditional policy on the table and that the migration's role does not inherit. */
  admitted: string[];
}

/**
 * The tables, and their partitions, on which row-level security is active for the current role (it is not for
 * superusers, BYPASSRLS, and owners without FORCE) and no unconditional policy admits the role to all rows.
 */
const HIDDEN_TABLES = `
WITH RECURSIVE named(oid) AS (
  SELECT to_regclass(name)::oid FROM unnest($1::text[]) AS name
  UNION
  SELECT inhrelid FROM pg_inherits JOIN named ON inhparent = named.oid
), policy AS (
  SELECT polrelid, polroles, polpermissive,
    polcmd = '*' AND pg_get_expr(polqual, polrelid) = 'true'
      AND coalesce(pg_get_expr(polwithcheck, polrelid), 'true') = 'true' AS unconditional,
    EXISTS (SELECT FROM unnest(polroles) AS role WHERE role = 0 OR pg_has_role(role, 'USAGE')) AS applies
  FROM pg_policy
)
SELECT oid::regclass::text AS "table", current_user::text AS role, ARRAY(
  SELECT DISTINCT pg_get_userbyid(role)::text FROM policy, unnest(polroles) AS role
  WHERE polrelid = oid AND polpermissive AND unconditional AND NOT applies
) AS admitted
FROM named
WHERE row_security_active(oid) AND (
  NOT EXISTS (SELECT FROM policy WHERE polrelid = oid AND polpermissive AND unconditional AND applies)
  OR EXISTS (SELECT FROM policy WHERE polrelid = oid AND NOT polpermissive AND NOT unconditional AND applies)
)`;

/**
 * Does work that is wrong unless it sees every row of the tables: backfills, and foreign keys.
 *
 * Under FORCE an owner that no policy admits updates no rows and validates a foreign key vacuously, without any error.
 * So where the current role is not admitted, `row_security = off` makes PostgreSQL refuse instead; where it is,
 * `row_security = on`, because `off` would refuse an admitted owner too. The caller is in a transaction.
 *
 * @throws RlsConfigurationError that names the missing grant or policy.
 */
export async function withAllRows(
  queryRunner: QueryRunner,
  tables: readonly string[],
  work: () => Promise<void>,
): Promise<void> {
  const hidden = await hiddenTables(queryRunner, tables);
  const [{ before }] = (await queryRunner.query(`SELECT current_setting('row_security') AS before`)) as [
    { before: string },
  ];
  await setRowSecurity(queryRunner, hidden.length === 0 ? 'on' : 'off');
  try {
    await work();
  } catch (error) {
    throw hidden[0] && (error as { code?: string }).code === '42501' ? notAdmitted(hidden, error) : error;
  }
  await setRowSecurity(queryRunner, before);
}

/**
 * What keeps the current role from seeing all rows of tables, as the error that {@link withAllRows} would throw; nothing
 * if it sees them all. Reads the catalog only.
 */
export async function admissionProblem(
  queryRunner: QueryRunner,
  tables: readonly string[],
): Promise<RlsConfigurationError | undefined> {
  const hidden = await hiddenTables(queryRunner, tables);
  return hidden.length === 0 ? undefined : notAdmitted(hidden);
}

async function hiddenTables(queryRunner: QueryRunner, tables: readonly string[]): Promise<HiddenTable[]> {
  return (await queryRunner.query(HIDDEN_TABLES, [tables.map(quoteTable)])) as HiddenTable[];
}

function setRowSecurity(queryRunner: QueryRunner, value: string): Promise<unknown> {
  return queryRunner.query(`SELECT set_config('row_security', $1, true)`, [value]);
}

function notAdmitted(hidden: readonly HiddenTable[], cause?: unknown): RlsConfigurationError {
  const role = hidden[0]!.role;
  const steps = hidden.map(({ table, admitted }) =>
    admitted[0] === undefined
      ? `give table ${table} the admin policy (protectTable), for a role that "${role}" inherits`
      : `GRANT "${admitted[0]}" TO "${role}" so that it is inherited (on PostgreSQL 16+ WITH INHERIT TRUE)`,
  );
  return new RlsConfigurationError(
    `The migration's role "${role}" is not admitted to all rows of ${hidden.map(({ table }) => `table ${table}`).join(' and ')}, ` +
      'so a backfill would miss rows and a foreign key would be validated without them.',
    `${[...new Set(steps)].join('; ')}. No restrictive policy may apply to it.`,
    { cause },
  );
}

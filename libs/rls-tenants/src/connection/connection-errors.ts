import { RlsConfigurationError, RlsTenantsError, RlsViolationError } from '../errors.js';
import { SEAL_REFUSED } from '../policies/index.js';
import type { PgServerError } from './pg-internals.js';

/** SQLSTATE of what row-level security or a missing privilege refused. */
export const INSUFFICIENT_PRIVILEGE = '42501';

// The others are invalid_parameter_value (no such role) and undefined_object.
const FRONT_REFUSED = new Set([INSUFFICIENT_PRIVILEGE, '22023', '42704']);

// invalid_sql_statement_name
const FRONT_FORGOTTEN = '26000';

/** What an error of the front itself means; errors that merely struck while it ran (a lost connection) stay. */
export function frontError(error: PgServerError): PgServerError {
  if (error.code === FRONT_FORGOTTEN) {
    return new RlsTenantsError(
      'The statement was not run: PostgreSQL has forgotten the prepared statement that carries the tenant.',
      'Run it again: this connection carries without preparing from now on. Something deallocated all prepared statements (DEALLOCATE ALL inside a function), or a pooler that passes on process ids moved the connection.',
      { cause: error },
    );
  }
  if (!FRONT_REFUSED.has(error.code ?? '')) return error;
  return new RlsConfigurationError(
    `PostgreSQL refused to carry the tenant context: ${error.message}.`,
    'The app role must be allowed to SET ROLE to the admin role without inheriting it: run `rls-tenants setup-roles`.',
    { cause: error },
  );
}

/** Turns SQLSTATE 42501, wherever TypeORM wrapped it, into an RlsViolationError; returns anything else as it is. */
export function violationError(error: unknown): unknown {
  if (!(error instanceof Error) || sqlState(error) !== INSUFFICIENT_PRIVILEGE) return error;
  if (error instanceof RlsViolationError) return error;
  const seal = error.message.startsWith(SEAL_REFUSED) && hintOf(error);
  if (seal) return new RlsViolationError(error.message, seal, { cause: error });
  const policy = error.message.includes('row-level security');
  return new RlsViolationError(
    error.message,
    policy
      ? 'The row would belong to another tenant, or to none. Write it in the context of its own tenant.'
      : 'The role lacks a privilege: grant it in a migration (grantTable), or run `rls-tenants setup-roles`.',
    { cause: error },
  );
}

/** What PostgreSQL's error says to do about it. */
function hintOf(error: Error): string | undefined {
  const { hint, driverError } = error as { hint?: string; driverError?: { hint?: string } };
  return hint ?? driverError?.hint;
}

function sqlState(error: Error): unknown {
  return (
    (error as { code?: unknown }).code ?? (error as { driverError?: { code?: unknown } }).driverError?.code
  );
}

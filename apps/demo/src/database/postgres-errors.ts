import { QueryFailedError } from 'typeorm';

/** The SQLSTATE of an error of PostgreSQL's, wherever TypeORM wrapped it. */
export function sqlState(error: unknown): string | undefined {
  const { code } = (error instanceof QueryFailedError ? error.driverError : error) as { code?: unknown };
  return typeof code === 'string' ? code : undefined;
}

/** True for SQLSTATE 23505, unique_violation. */
export function isUniqueViolation(error: unknown): boolean {
  return sqlState(error) === '23505';
}

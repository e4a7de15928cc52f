import type { DataSource, QueryRunner, ReplicationMode } from 'typeorm';
import { currentTenantContext } from '../context/tenant-context.js';
import { violationError } from './connection-errors.js';
import type { Isolation } from './isolation.js';

/**
 * Makes the data source's query runners refuse what must not reach PostgreSQL before they ask the pool for a
 * connection, and report SQLSTATE 42501 as RlsViolationError.
 */
export function guardQueryRunners({ driver }: DataSource, isolation: Isolation): void {
  const { createQueryRunner } = driver;
  driver.createQueryRunner = (mode: ReplicationMode) => {
    const runner = createQueryRunner.call(driver, mode);
    guard(runner, isolation);
    return runner;
  };
}

function guard(runner: QueryRunner, isolation: Isolation): void {
  const { query, stream } = runner;
  // Not an async function: its promises would cost each statement a microsecond or two while Node.js 20 tracks them.
  runner.query = ((...args: Parameters<QueryRunner['query']>) => {
    const refused = isolation.refusal(currentTenantContext(), args[0]);
    return refused ? Promise.reject(refused) : query.apply(runner, args).catch(throwViolation);
  }) as QueryRunner['query'];
  runner.stream = (...args: Parameters<QueryRunner['stream']>) => {
    const refused = isolation.refusal(currentTenantContext(), args[0]);
    return refused ? Promise.reject(refused) : stream.apply(runner, args);
  };
}

function throwViolation(error: unknown): never {
  throw violationError(error);
}

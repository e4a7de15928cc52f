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
  runner.query = async (...args: Parameters<QueryRunner['query']>) => {
    isolation.assertAllowed(currentTenantContext(), args[0]);
    try {
      return await query.apply(runner, args);
    } catch (error) {
      throw violationError(error);
    }
  };
  runner.stream = async (...args: Parameters<QueryRunner['stream']>) => {
    isolation.assertAllowed(currentTenantContext(), args[0]);
    return stream.apply(runner, args);
  };
}

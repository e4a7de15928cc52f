import type { RlsOperation } from '../rls-operation.js';

/**
 * SQL of the migration's own between the other operations, and the SQL that undoes it. It runs in the runner's
 * transaction if there is one, and never in one of its own.
 */
export function runSql(up: string, down: string): RlsOperation {
  return {
    description: up,
    up: async (queryRunner) => {
      await queryRunner.query(up);
    },
    down: async (queryRunner) => {
      await queryRunner.query(down);
    },
  };
}

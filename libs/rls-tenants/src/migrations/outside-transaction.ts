import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import { inTransaction, type RlsOperation } from './rls-operation.js';

type Step = (queryRunner: QueryRunner) => Promise<void>;

/**
 * Does work that PostgreSQL refuses in a transaction. One that is open is committed, and another one opened when the
 * work is done: `migration:revert` opens one whatever the migration's `transaction` says. If the work fails, none is
 * open.
 *
 * @throws RlsConfigurationError in a nested transaction, which cannot be left.
 */
export async function outsideTransaction(queryRunner: QueryRunner, work: () => Promise<void>): Promise<void> {
  if (!queryRunner.isTransactionActive) return work();
  await queryRunner.commitTransaction();
  if (queryRunner.isTransactionActive) {
    throw new RlsConfigurationError(
      'The migration runs in a nested transaction, and this operation cannot run in any.',
      'Run it with a query runner that has at most one transaction open.',
    );
  }
  await work();
  await queryRunner.startTransaction();
}

/**
 * An operation whose steps each commit on their own, so that no lock is kept from one step to the next. `up` refuses a
 * transaction, because leaving it would commit whatever the migration did before; `down` leaves it.
 *
 * Both may be interrupted anywhere and are run again from the top, so every step looks first at what there is.
 */
export function steps(description: string, up: Step, down: Step): RlsOperation {
  return {
    description,
    up: async (queryRunner) => {
      if (queryRunner.isTransactionActive) {
        throw new RlsConfigurationError(
          `The migration runs in a transaction, in which it cannot ${description}.`,
          'Extend ConcurrentMigration (it has `transaction = false`) in place of RlsMigration, and run with `migrationsTransactionMode: "each"`.',
        );
      }
      await up(queryRunner);
    },
    down: (queryRunner) => outsideTransaction(queryRunner, () => down(queryRunner)),
  };
}

/** Runs the work with other settings of the session, and puts the former ones back. */
export async function withSettings(
  queryRunner: QueryRunner,
  settings: Readonly<Record<string, string>>,
  work: () => Promise<void>,
): Promise<void> {
  const before = (await queryRunner.query(
    `SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS name`,
    [Object.keys(settings)],
  )) as { name: string; value: string }[];
  const set = (names: string[], values: string[]) =>
    queryRunner.query(
      `SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS setting(name, value)`,
      [names, values],
    );
  await set(Object.keys(settings), Object.values(settings));
  try {
    await work();
  } finally {
    // After a lost connection there is nothing to put back, and the error that lost it is the one to report.
    await set(
      before.map(({ name }) => name),
      before.map(({ value }) => value),
    ).catch(() => undefined);
  }
}

/**
 * Statements that take a strong lock for a moment, in one transaction. They wait for the lock at most two seconds (or
 * the `lock_timeout` that the session has), because whoever comes after them in the lock's queue waits as long.
 */
export function briefly(queryRunner: QueryRunner, work: Step): Promise<void> {
  return inTransaction(async (inner) => {
    await inner.query(
      `SELECT set_config('lock_timeout', '2s', true) WHERE current_setting('lock_timeout') = '0'`,
    );
    await work(inner);
  })(queryRunner);
}

/** A scan in one transaction, which takes as long as it takes and holds a lock that lets readers and writers work. */
export function scan(queryRunner: QueryRunner, work: Step): Promise<void> {
  return inTransaction(async (inner) => {
    await inner.query(`SET LOCAL statement_timeout = 0`);
    await work(inner);
  })(queryRunner);
}

import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import { forceRlsSql } from '../policies/index.js';
import { rlsStateOf } from './catalog.js';

/**
 * Lets the table's owner, and nobody else, see and write all of its rows while it does the work: NO FORCE, the work, and
 * FORCE again, in one transaction or savepoint, so that no failure and no crash leaves the table unforced. The policies
 * stay, and so does what the app role may see.
 *
 * It takes ACCESS EXCLUSIVE on the table and keeps it until the transaction ends: **nobody else reads or writes the table
 * for as long as the work takes.** For a few rows. The way that keeps nobody waiting is the admin policy and a migration
 * role that inherits the admin role (`protectTable`).
 *
 * @throws RlsConfigurationError if the work ended the transaction, after forcing row-level security again.
 */
export async function withRlsDisabled(
  queryRunner: QueryRunner,
  table: string,
  work: () => Promise<void>,
): Promise<void> {
  await queryRunner.startTransaction();
  let forced = false;
  try {
    ({ forced } = await rlsStateOf(queryRunner, table));
    if (forced) await queryRunner.query(forceRlsSql(table, false));
    const transaction = await transactionOf(queryRunner);
    await work();
    if ((await transactionOf(queryRunner)) !== transaction) throw transactionEnded(table);
    if (forced) await queryRunner.query(forceRlsSql(table, true));
    await queryRunner.commitTransaction();
  } catch (error) {
    if (queryRunner.isTransactionActive) await queryRunner.rollbackTransaction();
    // Nothing to do, unless the work had committed: a rollback restores what it was, and so does a lost connection.
    if (forced && !queryRunner.isTransactionActive) await forceAgain(queryRunner, table);
    throw error;
  }
}

async function forceAgain(queryRunner: QueryRunner, table: string): Promise<void> {
  const state = await rlsStateOf(queryRunner, table).catch(() => ({ forced: true }));
  if (!state.forced) await queryRunner.query(forceRlsSql(table, true));
}

async function transactionOf(queryRunner: QueryRunner): Promise<string> {
  const [{ id }] = (await queryRunner.query('SELECT pg_current_xact_id()::text AS id')) as [{ id: string }];
  return id;
}

function transactionEnded(table: string): RlsConfigurationError {
  return new RlsConfigurationError(
    `The work on table "${table}" with row-level security disabled ended its transaction, after which the table's owner could still see all rows.`,
    'Row-level security is forced again. Do not commit in the work.',
  );
}

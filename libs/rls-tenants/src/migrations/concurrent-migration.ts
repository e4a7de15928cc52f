import { RlsMigration } from './rls-migration.js';

/**
 * A migration without a transaction around it, for operations that leave the table in use while they work: concurrent
 * indexes, and constraints that are validated apart from being added. Django's `atomic = False`.
 *
 * If it is interrupted, TypeORM runs it again from the top: give it only operations that find out what is already done,
 * or a single other one.
 */
export abstract class ConcurrentMigration extends RlsMigration {
  readonly transaction = false;
}

import type { MigrationInterface, QueryRunner } from 'typeorm';
import type { RlsOperation } from './rls-operation.js';

/**
 * A TypeORM migration made of reversible operations. Everything else about it is TypeORM's: the timestamp at the end of
 * the class name (or a `name` property), `transaction`, `migration:run` and `migration:revert`.
 *
 * Operations run in the runner's transaction. Without one (`transaction = false`) each operation has its own.
 *
 * ```ts
 * export class ProtectNotes1760000000000 extends RlsMigration {
 *   readonly operations = [protectTable({ table: 'note', tenantIdType: 'uuid', appRole: 'app' })];
 * }
 * ```
 */
export abstract class RlsMigration implements MigrationInterface {
  abstract readonly operations: readonly RlsOperation[];

  async up(queryRunner: QueryRunner): Promise<void> {
    for (const operation of this.operations) await operation.up(queryRunner);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    for (const operation of this.operations.toReversed()) await operation.down(queryRunner);
  }
}

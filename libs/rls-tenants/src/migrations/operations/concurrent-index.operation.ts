import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../../errors.js';
import type { IndexDefinition } from '../../policies/index.js';
import { indexNameFor } from '../catalog.js';
import { buildConcurrently, dropConcurrently, liveTable } from '../live-index.js';
import { steps } from '../outside-transaction.js';
import type { RlsOperation } from '../rls-operation.js';

/** An index of a table that is in use. */
export interface ConcurrentIndexOptions extends IndexDefinition {
  /** In TypeORM's notation. */
  table: string;
  /** Default: the name that TypeORM's naming strategy gives an index of these columns. */
  name?: string;
}

/**
 * `CREATE INDEX CONCURRENTLY` that can be interrupted and run again: a valid index of that name and definition is kept,
 * an invalid one built anew. Readers and writers go on; the build waits for the transactions that are open. `down` drops
 * it concurrently. For a {@link ConcurrentMigration}; for a partitioned table see `partitionedIndex`.
 *
 * @throws RlsConfigurationError if the name belongs to another index, or for duplicates under a unique index.
 */
export function concurrentIndex(options: ConcurrentIndexOptions): RlsOperation {
  const { table } = options;
  return steps(
    `create an index on table "${table}" concurrently`,
    async (queryRunner) => {
      const live = await liveTable(queryRunner, table);
      if (live.partitioned) {
        throw new RlsConfigurationError(
          `Table "${table}" is partitioned, and PostgreSQL builds no index of it concurrently.`,
          'Use partitionedIndex.',
        );
      }
      await buildConcurrently(queryRunner, live, liveIndexName(queryRunner, options), options);
    },
    async (queryRunner) =>
      dropConcurrently(
        queryRunner,
        await liveTable(queryRunner, table),
        liveIndexName(queryRunner, options),
        options,
      ),
  );
}

/** The index's name. @throws RlsConfigurationError if it has none and there is no naming it by its columns. */
export function liveIndexName(
  queryRunner: QueryRunner,
  { table, name, columns }: ConcurrentIndexOptions,
): string {
  if (name !== undefined) return name;
  const names = columns.filter((column) => typeof column === 'string');
  if (names.length === columns.length) return indexNameFor(queryRunner, table, names);
  throw new RlsConfigurationError(
    `An index of expressions on table "${table}" has no name.`,
    'Give it one in `name`.',
  );
}

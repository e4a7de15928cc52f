import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../../errors.js';
import type { IndexDefinition } from '../../policies/index.js';
import { liveTable, type LiveTable } from '../live-index.js';
import {
  buildOnPartitions,
  buildPartitioned,
  dropOnPartitions,
  dropPartitioned,
} from '../live-partitions.js';
import { steps } from '../outside-transaction.js';
import type { RlsOperation } from '../rls-operation.js';
import { liveIndexName, type ConcurrentIndexOptions } from './concurrent-index.operation.js';

/** An index of a partitioned table and of all its partitions. */
export type PartitionedIndexOptions = ConcurrentIndexOptions;

/**
 * An index of a partitioned table that is in use: `ON ONLY` the partitioned tables of all levels, concurrently on every
 * partition that holds rows, and then attached from the lowest level up. Partitions that appear meanwhile are included.
 * It can be interrupted and run again. `down` drops it everywhere. For a {@link ConcurrentMigration}.
 *
 * @throws RlsConfigurationError if one of the names belongs to another index.
 */
export function partitionedIndex(options: PartitionedIndexOptions): RlsOperation {
  return partitionedSteps(
    `create an index on partitioned table "${options.table}"`,
    options,
    buildPartitioned,
    async (queryRunner, root, name) => {
      await dropPartitioned(queryRunner, root, name, options);
      await dropOnPartitions(queryRunner, root, name, options);
    },
  );
}

/**
 * The first of two files that do what {@link partitionedIndex} does: the indexes of the partitions, concurrently. `down`
 * drops those that no parent has. Prowler's `create_index_on_partitions`.
 */
export function partitionIndexes(options: PartitionedIndexOptions): RlsOperation {
  return partitionedSteps(
    `create an index on every partition of table "${options.table}"`,
    options,
    buildOnPartitions,
    dropOnPartitions,
  );
}

/**
 * The second of the two files: the index of the partitioned table, of which those of the partitions become part. It
 * builds, concurrently, those that partitions lack by now. `down` drops it, and with it those of the partitions.
 */
export function parentIndex(options: PartitionedIndexOptions): RlsOperation {
  return partitionedSteps(
    `create the index of partitioned table "${options.table}" out of its partitions'`,
    options,
    buildPartitioned,
    dropPartitioned,
  );
}

type PartitionedStep = (
  queryRunner: QueryRunner,
  root: LiveTable,
  name: string,
  definition: IndexDefinition,
) => Promise<void>;

function partitionedSteps(
  description: string,
  options: PartitionedIndexOptions,
  up: PartitionedStep,
  down: PartitionedStep,
): RlsOperation {
  const onRoot = (step: PartitionedStep) => async (queryRunner: QueryRunner) => {
    const root = await liveTable(queryRunner, options.table);
    if (!root.partitioned) {
      throw new RlsConfigurationError(`Table "${options.table}" is not partitioned.`, 'Use concurrentIndex.');
    }
    await step(queryRunner, root, liveIndexName(queryRunner, options), options);
  };
  return steps(description, onRoot(up), onRoot(down));
}

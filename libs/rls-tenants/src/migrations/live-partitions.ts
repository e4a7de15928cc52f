import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import {
  attachIndexSql,
  buildIndexSql,
  dropLiveIndexSql,
  partitionIndexName,
  type IndexDefinition,
} from '../policies/index.js';
import {
  buildConcurrently,
  checkSameIndex,
  dropConcurrently,
  liveIndex,
  type LiveIndex,
  type LiveTable,
} from './live-index.js';
import { briefly } from './outside-transaction.js';

/** A table of a partition tree: the partitioned table itself (level 0), or a partition of any level. */
interface TreeTable extends LiveTable {
  readonly parentOid: string | null;
}

/** A partition's table with the names of the index that it has or shall have. */
interface TreeIndex {
  readonly table: TreeTable;
  readonly name: string;
  readonly found: LiveIndex | undefined;
}

/** How often partitions may appear while the index is made, before somebody should look why. */
const MAX_ROUNDS = 10;

/** Builds the index on every partition that holds rows, concurrently, and leaves the partitioned tables alone. */
export async function buildOnPartitions(
  queryRunner: QueryRunner,
  root: LiveTable,
  name: string,
  definition: IndexDefinition,
): Promise<void> {
  for (const { table, name: own, found } of await treeIndexes(queryRunner, root, name)) {
    if (table.partitioned) continue;
    const attached = found !== undefined && found.parentOid !== null;
    // It cannot be dropped on its own, and the whole never becomes valid with it.
    if (attached && !found.valid) throw invalidAttached(root, name, own);
    if (!attached) await buildConcurrently(queryRunner, table, own, definition);
  }
}

/**
 * Makes the index of a partitioned table out of its partitions' indexes, on all levels. New partitions get it from the
 * moment the partitioned table has it; those that appear before are found by looking again.
 */
export async function buildPartitioned(
  queryRunner: QueryRunner,
  root: LiveTable,
  name: string,
  definition: IndexDefinition,
): Promise<void> {
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    await createOnPartitioned(queryRunner, root, name, definition);
    await buildOnPartitions(queryRunner, root, name, definition);
    await attachAll(queryRunner, root, name);
    const index = await liveIndex(queryRunner, { schema: root.schema, name });
    if (index?.valid) return;
  }
  throw new RlsConfigurationError(
    `Index "${name}" of partitioned table "${root.name}" is not valid yet: partitions go on appearing, or one has an index that is not.`,
    'Run the migration again; if that does not help, drop the index first.',
  );
}

function invalidAttached(root: LiveTable, name: string, own: string): RlsConfigurationError {
  return new RlsConfigurationError(
    `Index "${own}" of a partition is invalid and part of index "${name}" of table "${root.name}", which it keeps invalid.`,
    `Drop index "${name}", and run the migration again: it builds both anew.`,
  );
}

/**
 * Drops the index of the partitioned table, and with it those of its partitions.
 *
 * @throws RlsConfigurationError if the name belongs to another index, which is not ours to drop.
 */
export async function dropPartitioned(
  queryRunner: QueryRunner,
  root: LiveTable,
  name: string,
  definition: IndexDefinition,
): Promise<void> {
  const index = { schema: root.schema, name };
  const found = await liveIndex(queryRunner, index);
  if (!found) return;
  await checkSameIndex(queryRunner, root, index, definition, found);
  await briefly(queryRunner, async () => {
    await queryRunner.query(dropLiveIndexSql(index, false));
  });
}

/** Drops the indexes of partitions that are not part of the partitioned table's, concurrently. */
export async function dropOnPartitions(
  queryRunner: QueryRunner,
  root: LiveTable,
  name: string,
  definition: IndexDefinition,
): Promise<void> {
  for (const { table, name: own, found } of await treeIndexes(queryRunner, root, name)) {
    if (table.parentOid === null || !found || found.parentOid !== null) continue;
    if (table.partitioned) await dropPartitioned(queryRunner, table, own, definition);
    else await dropConcurrently(queryRunner, table, own, definition);
  }
}

/** `CREATE INDEX … ON ONLY`: an invalid index that keeps nobody waiting, and that new partitions get. */
async function createOnPartitioned(
  queryRunner: QueryRunner,
  root: LiveTable,
  name: string,
  definition: IndexDefinition,
): Promise<void> {
  for (const { table, name: own, found } of await treeIndexes(queryRunner, root, name)) {
    if (!table.partitioned) continue;
    if (found) {
      await checkSameIndex(queryRunner, table, { schema: table.schema, name: own }, definition, found);
      continue;
    }
    await briefly(queryRunner, async () => {
      await queryRunner.query(buildIndexSql(table, own, definition, 'only'));
    });
  }
}

/** From the lowest level up: an index becomes valid when the last of its partitions' is attached. */
async function attachAll(queryRunner: QueryRunner, root: LiveTable, name: string): Promise<void> {
  const tree = await treeIndexes(queryRunner, root, name);
  for (const { table, name: own, found } of tree.toReversed()) {
    const parent = tree.find((candidate) => candidate.table.oid === table.parentOid);
    if (!parent?.found || !found || found.parentOid !== null) continue;
    await briefly(queryRunner, async () => {
      await queryRunner.query(
        attachIndexSql(
          { schema: parent.table.schema, name: parent.name },
          { schema: table.schema, name: own },
        ),
      );
    });
  }
}

/**
 * The tree from the top down, each table with its index: the one that is part of its parent's index, whatever its name,
 * for PostgreSQL names those of new partitions; otherwise the one that has the name we give.
 */
async function treeIndexes(queryRunner: QueryRunner, root: LiveTable, name: string): Promise<TreeIndex[]> {
  const tables = (await queryRunner.query(
    `SELECT c.oid::text, nspname::text AS schema, relname::text AS name, relkind = 'p' AS partitioned,
       CASE WHEN level > 0 THEN parentrelid::oid::text END AS "parentOid"
     FROM pg_partition_tree($1::oid::regclass) JOIN pg_class c ON c.oid = relid JOIN pg_namespace n ON n.oid = relnamespace
     ORDER BY level, nspname, relname`,
    [root.oid],
  )) as TreeTable[];
  const indexes = new Map<string, TreeIndex>();
  for (const table of tables) {
    const parent = table.parentOid === null ? undefined : indexes.get(table.parentOid);
    const attached = parent?.found && (await attachedIndexName(queryRunner, table, parent.found));
    const own = attached ?? (parent ? partitionIndexName(name, table.name) : name);
    const found = await liveIndex(queryRunner, { schema: table.schema, name: own });
    indexes.set(table.oid, { table, name: own, found });
  }
  return [...indexes.values()];
}

async function attachedIndexName(
  queryRunner: QueryRunner,
  table: LiveTable,
  parentIndex: LiveIndex,
): Promise<string | undefined> {
  const [row] = (await queryRunner.query(
    `SELECT relname::text AS name FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid JOIN pg_class ON oid = inhrelid
     WHERE inhparent = $1 AND indrelid = $2`,
    [parentIndex.oid, table.oid],
  )) as { name: string }[];
  return row?.name;
}

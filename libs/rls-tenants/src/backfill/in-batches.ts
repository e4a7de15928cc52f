import type {
  DeepPartial,
  EntityManager,
  FindOptionsOrder,
  FindOptionsSelect,
  FindOptionsWhere,
  ObjectLiteral,
  Repository,
} from 'typeorm';
import type { QueryDeepPartialEntity } from 'typeorm/query-builder/QueryPartialEntity.js';
import { requireTenantId } from '../context/tenant-context.js';
import { RlsTenantsError } from '../errors.js';

/** Options of the helpers that work in batches. */
export interface InBatchesOptions {
  /** Rows per transaction. Default 500. */
  batchSize?: number;
}

/** Options of {@link createInBatches}. */
export interface CreateInBatchesOptions extends InBatchesOptions {
  /** Leaves rows alone that exist already (`ON CONFLICT DO NOTHING`), so that it can run again. Default `false`. */
  ignoreConflicts?: boolean;
}

const BATCH_SIZE = 500;

/**
 * Inserts entities for the current tenant, one statement and one transaction per batch; earlier batches stay when a
 * later one fails. An iterable is read a batch at a time. Counterpart of prowler's `create_objects_in_batches`.
 *
 * @returns how many rows were inserted.
 * @throws NoTenantContextError without a tenant, RlsTenantsError within a transaction.
 */
export async function createInBatches<Entity extends ObjectLiteral>(
  repository: Repository<Entity>,
  entities: Iterable<DeepPartial<Entity>> | AsyncIterable<DeepPartial<Entity>>,
  { batchSize = BATCH_SIZE, ignoreConflicts = false }: CreateInBatchesOptions = {},
): Promise<number> {
  let created = 0;
  await eachChunk(repository, entities, batchSize, async (manager, chunk) => {
    const insert = manager
      .createQueryBuilder()
      .insert()
      .into(repository.target)
      .values(chunk as QueryDeepPartialEntity<Entity>[])
      .updateEntity(false)
      // What was inserted is what is returned: a row in conflict is not.
      .returning(repository.metadata.primaryColumns.map(({ databaseName }) => databaseName));
    const { raw } = await (ignoreConflicts ? insert.orIgnore() : insert).execute();
    created += (raw as unknown[]).length;
  });
  return created;
}

/**
 * Updates the current tenant's rows to what the entities say in `fields`, one transaction per batch, found by primary
 * key. Rows that do not exist, or are another tenant's, stay as they are and are not counted. Counterpart of prowler's
 * `update_objects_in_batches`.
 *
 * @returns how many rows were updated.
 * @throws NoTenantContextError without a tenant, RlsTenantsError within a transaction.
 */
export async function updateInBatches<Entity extends ObjectLiteral>(
  repository: Repository<Entity>,
  entities: Iterable<Entity> | AsyncIterable<Entity>,
  fields: readonly (keyof Entity & string)[],
  { batchSize = BATCH_SIZE }: InBatchesOptions = {},
): Promise<number> {
  let updated = 0;
  await eachChunk(repository, entities, batchSize, async (manager, chunk) => {
    for (const entity of chunk) {
      const changes = Object.fromEntries(fields.map((field) => [field, entity[field]]));
      const { affected } = await manager.update(
        repository.target,
        keyOf(repository, entity),
        changes as object,
      );
      updated += affected ?? 0;
    }
  });
  return updated;
}

/**
 * Deletes the current tenant's rows that match, in the order of the primary key, one transaction per batch. Counterpart
 * of prowler's `batch_delete`, without its endless loop.
 *
 * @returns how many rows were deleted.
 * @throws NoTenantContextError without a tenant, RlsTenantsError within a transaction, and where rows that it finds
 * cannot be deleted.
 */
export async function deleteInBatches<Entity extends ObjectLiteral>(
  repository: Repository<Entity>,
  where: FindOptionsWhere<Entity>,
  { batchSize = BATCH_SIZE }: InBatchesOptions = {},
): Promise<number> {
  checkCaller(repository);
  for (let deleted = 0; ;) {
    const batch = await repository.manager.transaction((manager) =>
      deleteBatch(manager, repository, where, batchSize),
    );
    deleted += batch.deleted;
    if (batch.found < batchSize) return deleted;
  }
}

async function deleteBatch<Entity extends ObjectLiteral>(
  manager: EntityManager,
  repository: Repository<Entity>,
  where: FindOptionsWhere<Entity>,
  batchSize: number,
): Promise<{ found: number; deleted: number }> {
  const keys = repository.metadata.primaryColumns.map(({ propertyPath }) => propertyPath);
  const found = await manager.find(repository.target, {
    where,
    select: Object.fromEntries(keys.map((key) => [key, true])) as FindOptionsSelect<Entity>,
    order: Object.fromEntries(keys.map((key) => [key, 'ASC'])) as FindOptionsOrder<Entity>,
    take: batchSize,
    loadEagerRelations: false,
    withDeleted: true,
  });
  if (found.length === 0) return { found: 0, deleted: 0 };
  const { affected } = await manager
    .createQueryBuilder()
    .delete()
    .from(repository.target)
    .whereInIds(found.map((entity) => keyOf(repository, entity)))
    .execute();
  if (affected) return { found: found.length, deleted: affected };
  throw new RlsTenantsError(
    `None of ${found.length} matching rows of table "${repository.metadata.tablePath}" could be deleted.`,
    'A trigger or a policy for DELETE is in the way: looking again would find the same rows for ever.',
  );
}

/** Runs `work` in a transaction of its own for each chunk. */
async function eachChunk<Entity extends ObjectLiteral, Item>(
  repository: Repository<Entity>,
  items: Iterable<Item> | AsyncIterable<Item>,
  size: number,
  work: (manager: EntityManager, chunk: Item[]) => Promise<void>,
): Promise<void> {
  checkCaller(repository);
  const flush = (chunk: Item[]) => repository.manager.transaction((manager) => work(manager, chunk));
  let chunk: Item[] = [];
  for await (const item of items) {
    chunk.push(item);
    if (chunk.length < size) continue;
    await flush(chunk);
    chunk = [];
  }
  if (chunk.length > 0) await flush(chunk);
}

function checkCaller<Entity extends ObjectLiteral>({ manager, metadata }: Repository<Entity>): void {
  requireTenantId();
  if (!manager.queryRunner?.isTransactionActive) return;
  throw new RlsTenantsError(
    `Batches of table "${metadata.tablePath}" were asked for within a transaction, which would keep every lock to its end.`,
    'Call it outside: each batch has a transaction of its own.',
  );
}

function keyOf<Entity extends ObjectLiteral>(
  { metadata }: Repository<Entity>,
  entity: Entity,
): FindOptionsWhere<Entity> {
  const key = metadata.getEntityIdMap(entity);
  if (key) return key as FindOptionsWhere<Entity>;
  throw new RlsTenantsError(
    `An entity of table "${metadata.tablePath}" has no primary key, so its row cannot be found.`,
    'Read the entities from the database, with their primary keys.',
  );
}

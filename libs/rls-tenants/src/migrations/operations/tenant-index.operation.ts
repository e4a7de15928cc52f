import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../../errors.js';
import {
  createIndexSql,
  createTenantIndexSql,
  DEFAULT_TENANT_COLUMN,
  dropIndexSql,
  type TableIndex,
  type TenantIndex,
} from '../../policies/index.js';
import { indexNameFor, ordinaryIndexColumnsOf } from '../catalog.js';
import { operation, type RlsOperation } from '../rls-operation.js';

/** An index to create. */
export interface TenantIndexOptions extends Omit<TenantIndex, 'name'> {
  /** Default: the name that TypeORM's naming strategy gives it. */
  name?: string;
  /**
   * The index on the same columns without the tenant's that this one takes the place of: its name, or `true` for the one
   * that TypeORM named. Default `false`.
   */
  replaces?: boolean | string;
}

/**
 * Creates an index that begins with the tenant column, and drops the one that it replaces. `down` restores that. Writers
 * wait until it is built: for new and for small tables.
 *
 * @throws RlsConfigurationError if the replaced index is not as stated.
 */
export function tenantIndex(options: TenantIndexOptions): RlsOperation {
  const { table, tenantColumn = DEFAULT_TENANT_COLUMN, columns } = options;
  const nameIn = (queryRunner: QueryRunner) =>
    options.name ?? indexNameFor(queryRunner, table, [tenantColumn, ...columns]);
  return operation(
    `create an index on (${[tenantColumn, ...columns].join(', ')}) of table "${table}"`,
    async (queryRunner) => {
      const replaced = replacedIndex(queryRunner, options);
      if (replaced) {
        await checkReplaced(queryRunner, replaced);
        await queryRunner.query(dropIndexSql(replaced));
      }
      await queryRunner.query(createTenantIndexSql({ ...options, name: nameIn(queryRunner) }));
    },
    async (queryRunner) => {
      await queryRunner.query(dropIndexSql({ table, name: nameIn(queryRunner) }));
      const replaced = replacedIndex(queryRunner, options);
      if (replaced) await queryRunner.query(createIndexSql(replaced));
    },
  );
}

function replacedIndex(
  queryRunner: QueryRunner,
  { table, columns, replaces = false }: TenantIndexOptions,
): TableIndex | undefined {
  if (replaces === false) return undefined;
  const name = replaces === true ? indexNameFor(queryRunner, table, [...columns]) : replaces;
  return { table, name, columns };
}

/** `down` can restore an index only if it knows all about it. */
async function checkReplaced(queryRunner: QueryRunner, { table, name, columns }: TableIndex): Promise<void> {
  const found = await ordinaryIndexColumnsOf(queryRunner, table, name);
  if (JSON.stringify(found) === JSON.stringify(columns)) return;
  throw new RlsConfigurationError(
    `Table "${table}" has no ordinary index "${name}" on (${columns.join(', ')}) to replace.`,
    'Name the index in `replaces`, or leave `replaces` out and drop the other index in an operation of its own.',
  );
}

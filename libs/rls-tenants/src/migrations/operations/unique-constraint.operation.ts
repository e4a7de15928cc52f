import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../../errors.js';
import {
  addNullableColumnSql,
  addUniqueUsingIndexSql,
  DEFAULT_TENANT_COLUMN,
  dropColumnSql,
  type TableColumn,
} from '../../policies/index.js';
import { uniqueNameFor } from '../catalog.js';
import { dropConstraint, liveConstraint, otherConstraint } from '../live-constraint.js';
import {
  buildConcurrently,
  checkNoDuplicates,
  dropConcurrently,
  liveIndex,
  liveTable,
  type LiveTable,
} from '../live-index.js';
import { briefly, steps } from '../outside-transaction.js';
import { operation, runAll, type RlsOperation } from '../rls-operation.js';
import { notNull } from './live-constraints.operation.js';

/** A unique constraint of a table that is in use. */
export interface UniqueConstraintOptions {
  /** In TypeORM's notation. */
  table: string;
  /** All of its columns. Begin with the tenant column: any other tells one tenant of another's values. */
  columns: readonly string[];
  /** Default: the name that TypeORM's naming strategy gives it. */
  name?: string;
}

/** A new column that is unique within a tenant. */
export interface UniqueColumnOptions extends TableColumn {
  /** Default `'tenant_id'`. */
  tenantColumn?: string;
}

/**
 * Adds a unique constraint in three steps: looks for duplicates, builds the index concurrently, and makes a constraint of
 * it, which takes a moment. `down` drops it. For a ConcurrentMigration; on a partitioned table use a unique
 * `partitionedIndex`.
 *
 * @throws RlsConfigurationError for duplicates, with some of them, and if the name belongs to another constraint or index.
 */
export function uniqueConstraint(options: UniqueConstraintOptions): RlsOperation {
  const { table, columns } = options;
  const nameIn = (queryRunner: QueryRunner) =>
    options.name ?? uniqueNameFor(queryRunner, table, [...columns]);
  return steps(
    `add a unique constraint on (${columns.join(', ')}) to table "${table}"`,
    async (queryRunner) => {
      const live = await liveTable(queryRunner, table);
      if (live.partitioned) {
        throw new RlsConfigurationError(
          `Table "${table}" is partitioned, and PostgreSQL makes no constraint of its indexes.`,
          'Use partitionedIndex with `unique: true`.',
        );
      }
      await addUnique(queryRunner, live, nameIn(queryRunner), columns);
    },
    async (queryRunner) => {
      const live = await liveTable(queryRunner, table);
      const name = nameIn(queryRunner);
      await dropConstraint(queryRunner, live, name, () => printedUnique(queryRunner, columns));
      await dropConcurrently(queryRunner, live, name, { columns, unique: true });
    },
  );
}

/**
 * A new column that is unique within a tenant and NOT NULL, as operations for three migrations that are deployed one
 * after the other (Django's three files for a unique field):
 *
 * 1. `add`: the column, nullable, with its default for new rows;
 * 2. a backfill of the rows there are, which is yours;
 * 3. `constrain`, in a ConcurrentMigration: the unique constraint, and NOT NULL.
 */
export function uniqueColumn(options: UniqueColumnOptions): {
  add: readonly RlsOperation[];
  constrain: readonly RlsOperation[];
} {
  const { table, column, tenantColumn = DEFAULT_TENANT_COLUMN } = options;
  return {
    add: [addNullableColumn(options)],
    constrain: [uniqueConstraint({ table, columns: [tenantColumn, column] }), notNull({ table, column })],
  };
}

/**
 * Adds a nullable column, and its default for the rows to come: PostgreSQL rewrites no row. `down` drops it.
 *
 * In a migration with a transaction it is all or nothing; in one without it is run again from the top, so that a column
 * of that name and type is kept.
 *
 * @throws RlsConfigurationError if there is a column of that name and another type.
 */
export function addNullableColumn(options: TableColumn): RlsOperation {
  const { table, column } = options;
  return operation(
    `add column "${column}" to table "${table}"`,
    async (queryRunner) => {
      const live = await liveTable(queryRunner, table);
      const found = await columnOf(queryRunner, live, options);
      if (found?.same === false) {
        throw new RlsConfigurationError(
          `Table "${table}" has another column "${column}": it is ${found.type}, and should be ${options.type}.`,
          'Give the new column another name, or drop the other one in an operation of its own first.',
        );
      }
      if (!found) await briefly(queryRunner, (inner) => runAll(inner, addNullableColumnSql(options)));
    },
    async (queryRunner) => {
      const live = await liveTable(queryRunner, table);
      if (!(await columnOf(queryRunner, live, options))) return;
      await briefly(queryRunner, (inner) => runAll(inner, [dropColumnSql(table, column)]));
    },
  );
}

async function addUnique(
  queryRunner: QueryRunner,
  table: LiveTable,
  name: string,
  columns: readonly string[],
): Promise<void> {
  const constraint = await liveConstraint(queryRunner, table, name);
  const definition = await printedUnique(queryRunner, columns);
  if (constraint && constraint.definition !== definition) {
    throw otherConstraint(table, name, constraint.definition, definition);
  }
  if (constraint) return;
  const index = { schema: table.schema, name };
  if (!(await liveIndex(queryRunner, index))) await checkNoDuplicates(queryRunner, table, columns);
  await buildConcurrently(queryRunner, table, name, { columns, unique: true });
  await briefly(queryRunner, async (inner) => {
    await inner.query(addUniqueUsingIndexSql(table, name));
  });
}

async function printedUnique(queryRunner: QueryRunner, columns: readonly string[]): Promise<string> {
  const [{ definition }] = (await queryRunner.query(
    `SELECT format('UNIQUE (%s)', string_agg(quote_ident(name), ', ' ORDER BY n)) AS definition
     FROM unnest($1::text[]) WITH ORDINALITY AS c(name, n)`,
    [columns],
  )) as [{ definition: string }];
  return definition;
}

async function columnOf(
  queryRunner: QueryRunner,
  table: LiveTable,
  { column, type }: TableColumn,
): Promise<{ type: string; same: boolean } | undefined> {
  const [found] = (await queryRunner.query(
    `SELECT format_type(atttypid, atttypmod) AS type, atttypid = to_regtype($3)::oid AS same FROM pg_attribute
     WHERE attrelid = $1 AND attname = $2 AND attnum > 0 AND NOT attisdropped`,
    [table.oid, column, type],
  )) as { type: string; same: boolean }[];
  return found;
}

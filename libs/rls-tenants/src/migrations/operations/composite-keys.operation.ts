import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../../errors.js';
import {
  addCompositeForeignKeySql,
  addCompositeUniqueSql,
  addPlainForeignKeySql,
  DEFAULT_TENANT_COLUMN,
  dropConstraintSql,
  setsColumns,
  type CompositeForeignKey,
  type CompositeUnique,
  type ForeignKey,
  type ReferentialAction,
} from '../../policies/index.js';
import { withAllRows } from '../admission.js';
import { foreignKeyNameFor, foreignKeyOf, serverVersionOf, uniqueNameFor } from '../catalog.js';
import { operation, runAll, type RlsOperation } from '../rls-operation.js';

/** A unique constraint to add. */
export interface CompositeUniqueOptions extends Omit<CompositeUnique, 'name'> {
  /** Default: the name that TypeORM's naming strategy gives it. */
  name?: string;
}

/** A composite foreign key to add. */
export interface CompositeForeignKeyOptions extends Omit<CompositeForeignKey, 'name'> {
  /** Default: the name that TypeORM's naming strategy gives it. */
  name?: string;
  /**
   * The plain foreign key on the same columns, with the same actions, that this one takes the place of: its name, or
   * `true` for the one that TypeORM named. Default `false`.
   */
  replaces?: boolean | string;
}

/** Adds `UNIQUE (tenant_id, …)`, which composite foreign keys reference. `down` drops it. */
export function compositeUnique(options: CompositeUniqueOptions): RlsOperation {
  const columns = [options.tenantColumn ?? DEFAULT_TENANT_COLUMN, ...options.columns];
  const nameIn = (queryRunner: QueryRunner) =>
    options.name ?? uniqueNameFor(queryRunner, options.table, columns);
  return operation(
    `add a unique constraint on (${columns.join(', ')}) to table "${options.table}"`,
    (queryRunner) => runAll(queryRunner, [addCompositeUniqueSql({ ...options, name: nameIn(queryRunner) })]),
    (queryRunner) => runAll(queryRunner, [dropConstraintSql(options.table, nameIn(queryRunner))]),
  );
}

/**
 * Adds a foreign key `(tenant_id, x_id) → (tenant_id, id)`, validated against every row, and drops the plain one that it
 * replaces. `down` restores that.
 *
 * @throws RlsConfigurationError if row-level security hides rows from the migration's role, if the replaced key is not
 * as stated, or for `ON DELETE SET NULL` before PostgreSQL 15; PostgreSQL's 23503 if a row references another tenant's.
 */
export function compositeForeignKey(options: CompositeForeignKeyOptions): RlsOperation {
  const tables = [options.table, options.referencedTable];
  return operation(
    `add a composite foreign key from table "${options.table}" to table "${options.referencedTable}"`,
    async (queryRunner) => {
      await checkColumnList(queryRunner, options);
      const replaced = replacedKey(queryRunner, options);
      if (replaced) await checkReplaced(queryRunner, replaced);
      await withAllRows(queryRunner, tables, () =>
        runAll(queryRunner, [addCompositeForeignKeySql(compositeKey(queryRunner, options))]),
      );
      if (replaced) await queryRunner.query(dropConstraintSql(replaced.table, replaced.name));
    },
    async (queryRunner) => {
      const replaced = replacedKey(queryRunner, options);
      if (replaced) {
        await withAllRows(queryRunner, tables, () => runAll(queryRunner, [addPlainForeignKeySql(replaced)]));
      }
      await queryRunner.query(dropConstraintSql(options.table, compositeKey(queryRunner, options).name));
    },
  );
}

/** The composite key with its name. */
export function compositeKey(
  queryRunner: QueryRunner,
  options: CompositeForeignKeyOptions,
): CompositeForeignKey {
  const { tenantColumn = DEFAULT_TENANT_COLUMN, referencedTenantColumn = DEFAULT_TENANT_COLUMN } = options;
  const name =
    options.name ??
    foreignKeyNameFor(
      queryRunner,
      options.table,
      [tenantColumn, ...options.columns.map(({ column }) => column)],
      options.referencedTable,
      [referencedTenantColumn, ...options.columns.map(({ referencedColumn }) => referencedColumn)],
    );
  return { ...options, name };
}

/** The plain key that the composite one replaces, with its name. */
export function replacedKey(
  queryRunner: QueryRunner,
  options: CompositeForeignKeyOptions,
): ForeignKey | undefined {
  const { replaces = false, table, referencedTable, columns } = options;
  if (replaces === false) return undefined;
  const name =
    replaces === true
      ? foreignKeyNameFor(
          queryRunner,
          table,
          columns.map(({ column }) => column),
          referencedTable,
          columns.map(({ referencedColumn }) => referencedColumn),
        )
      : replaces;
  return { ...options, name };
}

/** `down` can restore a key only if it knows all about it. */
export async function checkReplaced(queryRunner: QueryRunner, key: ForeignKey): Promise<void> {
  const found = await foreignKeyOf(queryRunner, key.table, key.name, key.referencedTable);
  const asStated =
    found?.ordinary === true &&
    found.referencesTable &&
    String(found.columns) === String(key.columns.map(({ column }) => column)) &&
    String(found.referencedColumns) === String(key.columns.map(({ referencedColumn }) => referencedColumn)) &&
    found.onDelete === abbreviate(key.onDelete) &&
    found.onUpdate === abbreviate(key.onUpdate);
  if (asStated) return;
  throw new RlsConfigurationError(
    found
      ? `Foreign key "${key.name}" of table "${key.table}" has other columns or actions than the one that replaces it.`
      : `Table "${key.table}" has no foreign key "${key.name}" to replace.`,
    'State the same columns, onDelete and onUpdate; name the key in `replaces`, or leave `replaces` out if there is none.',
  );
}

/** The letter that pg_constraint has for an action. */
function abbreviate(action: ReferentialAction = 'NO ACTION'): string {
  return { 'NO ACTION': 'a', RESTRICT: 'r', CASCADE: 'c', 'SET NULL': 'n', 'SET DEFAULT': 'd' }[action];
}

/** ON DELETE SET NULL needs the column list of PostgreSQL 15. @throws RlsConfigurationError before. */
export async function checkColumnList(
  queryRunner: QueryRunner,
  { table, onDelete }: CompositeForeignKeyOptions,
): Promise<void> {
  if (!setsColumns(onDelete) || (await serverVersionOf(queryRunner)) >= 150000) return;
  throw new RlsConfigurationError(
    `A composite foreign key of table "${table}" has ON DELETE ${onDelete}, and before PostgreSQL 15 that also sets the tenant column.`,
    'Use NO ACTION, RESTRICT or CASCADE, or upgrade the server.',
  );
}

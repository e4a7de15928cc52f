import { RlsConfigurationError } from '../errors.js';
import { quoteIdentifier, quoteTable } from './identifiers.js';
import { DEFAULT_TENANT_COLUMN } from './tenant-policy.js';

/** What happens to the referencing row. */
export type ReferentialAction = 'NO ACTION' | 'RESTRICT' | 'CASCADE' | 'SET NULL' | 'SET DEFAULT';

const ACTIONS: readonly ReferentialAction[] = ['NO ACTION', 'RESTRICT', 'CASCADE', 'SET NULL', 'SET DEFAULT'];

/** A foreign key without the tenant columns, as a relation declares it. */
export interface ForeignKey {
  /** The referencing table, in TypeORM's notation. */
  table: string;
  name: string;
  /** The referencing columns and the columns they reference, pairwise, without the tenant columns. */
  columns: readonly { readonly column: string; readonly referencedColumn: string }[];
  /** The referenced table, in TypeORM's notation. */
  referencedTable: string;
  /** Default `'NO ACTION'`. */
  onDelete?: ReferentialAction;
  /** Default `'NO ACTION'`. */
  onUpdate?: ReferentialAction;
}

/** A foreign key whose first pair of columns is the tenant's. */
export interface CompositeForeignKey extends ForeignKey {
  /** The referencing table's tenant column. Default `'tenant_id'`. */
  tenantColumn?: string;
  /** The referenced table's tenant column. Default `'tenant_id'`. */
  referencedTenantColumn?: string;
}

/** A unique constraint that begins with the tenant column. */
export interface CompositeUnique {
  table: string;
  name: string;
  /** The other columns. */
  columns: readonly string[];
  /** Default `'tenant_id'`. */
  tenantColumn?: string;
}

/**
 * `UNIQUE (tenant_id, …)`: what a composite foreign key references, and the only form of uniqueness that does not tell
 * one tenant of another's values.
 */
export function addCompositeUniqueSql({
  table,
  name,
  columns,
  tenantColumn = DEFAULT_TENANT_COLUMN,
}: CompositeUnique): string {
  if (columns.length === 0) throw noColumns(name);
  return `ALTER TABLE ${quoteTable(table)} ADD CONSTRAINT ${quoteIdentifier(name)} UNIQUE (${columnList([tenantColumn, ...columns])})`;
}

/**
 * `FOREIGN KEY (tenant_id, x_id) REFERENCES x (tenant_id, id)`. Constraint checks and cascades ignore row-level
 * security: with a plain key one tenant can reference another's row, and the other's delete cascades.
 *
 * `ON DELETE SET NULL` and `SET DEFAULT` name the columns without the tenant's (PostgreSQL 15+).
 *
 * @throws RlsConfigurationError for `ON UPDATE SET NULL` and `SET DEFAULT`, which take no column list and would take
 * the tenant from the row.
 */
export function addCompositeForeignKeySql(key: CompositeForeignKey): string {
  const { tenantColumn = DEFAULT_TENANT_COLUMN, referencedTenantColumn = DEFAULT_TENANT_COLUMN } = key;
  const columns = key.columns.map((pair) => pair.column);
  if (setsColumns(key.onUpdate)) {
    throw new RlsConfigurationError(
      `Foreign key "${key.name}" on table "${key.table}" has ON UPDATE ${key.onUpdate}, which would also set "${tenantColumn}".`,
      'Use ON UPDATE NO ACTION, RESTRICT or CASCADE.',
    );
  }
  const deleteColumns = setsColumns(key.onDelete) ? ` (${columnList(columns)})` : '';
  return foreignKeySql(
    key,
    [tenantColumn, ...columns],
    [referencedTenantColumn, ...key.columns.map((pair) => pair.referencedColumn)],
    deleteColumns,
  );
}

/** The same foreign key without the tenant columns: what a composite foreign key replaces. */
export function addPlainForeignKeySql(key: ForeignKey): string {
  return foreignKeySql(
    key,
    key.columns.map((pair) => pair.column),
    key.columns.map((pair) => pair.referencedColumn),
  );
}

/** Drops one constraint of a table. */
export function dropConstraintSql(table: string, name: string): string {
  return `ALTER TABLE ${quoteTable(table)} DROP CONSTRAINT ${quoteIdentifier(name)}`;
}

/** Whether the action sets columns of the referencing row to something else. */
export function setsColumns(action: ReferentialAction | undefined): boolean {
  return action === 'SET NULL' || action === 'SET DEFAULT';
}

function foreignKeySql(key: ForeignKey, columns: string[], referenced: string[], deleteColumns = ''): string {
  if (key.columns.length === 0) throw noColumns(key.name);
  return (
    `ALTER TABLE ${quoteTable(key.table)} ADD CONSTRAINT ${quoteIdentifier(key.name)} FOREIGN KEY (${columnList(columns)}) ` +
    `REFERENCES ${quoteTable(key.referencedTable)} (${columnList(referenced)}) ` +
    `ON DELETE ${actionSql(key.onDelete)}${deleteColumns} ON UPDATE ${actionSql(key.onUpdate)}`
  );
}

function actionSql(action: ReferentialAction = 'NO ACTION'): string {
  if (ACTIONS.includes(action)) return action;
  throw new RlsConfigurationError(
    `Unknown referential action ${JSON.stringify(action)}.`,
    `It is one of ${ACTIONS.join(', ')}.`,
  );
}

function columnList(columns: readonly string[]): string {
  return columns.map(quoteIdentifier).join(', ');
}

function noColumns(name: string): RlsConfigurationError {
  return new RlsConfigurationError(
    `Constraint "${name}" has no columns beside the tenant column.`,
    'Name its columns.',
  );
}

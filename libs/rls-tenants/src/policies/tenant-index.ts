import { RlsConfigurationError } from '../errors.js';
import { parseTableName, quoteIdentifier, quoteTable } from './identifiers.js';
import { DEFAULT_TENANT_COLUMN } from './tenant-policy.js';

/** An index without the tenant column. */
export interface TableIndex {
  /** In TypeORM's notation. */
  table: string;
  name: string;
  columns: readonly string[];
}

/** An index that begins with the tenant column, so that it serves the policy's predicate. */
export interface TenantIndex extends TableIndex {
  /** Default `'tenant_id'`. */
  tenantColumn?: string;
}

/** `CREATE INDEX … (tenant_id, …)`. It keeps writers out of the table until it is built. */
export function createTenantIndexSql({
  tenantColumn = DEFAULT_TENANT_COLUMN,
  columns,
  ...index
}: TenantIndex): string {
  return createIndexSql({ ...index, columns: [tenantColumn, ...columns] });
}

/** `CREATE INDEX`, of columns in ascending order. */
export function createIndexSql({ table, name, columns }: TableIndex): string {
  if (columns.length === 0)
    throw new RlsConfigurationError(`Index "${name}" has no columns.`, 'Name its columns.');
  return `CREATE INDEX ${quoteIdentifier(name)} ON ${quoteTable(table)} (${columns.map(quoteIdentifier).join(', ')})`;
}

/** Drops an index, which is in its table's schema. */
export function dropIndexSql({ table, name }: Pick<TableIndex, 'table' | 'name'>): string {
  const { schema } = parseTableName(table);
  const index = quoteIdentifier(name);
  return `DROP INDEX ${schema === undefined ? index : `${quoteIdentifier(schema)}.${index}`}`;
}

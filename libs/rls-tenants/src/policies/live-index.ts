import { RlsConfigurationError } from '../errors.js';
import { objectName, quoteIdentifier, MAX_IDENTIFIER_BYTES, type TableName } from './identifiers.js';

/** What an index is made of, apart from its name and its table. */
export interface IndexDefinition {
  /**
   * Columns in ascending order, or elements as `CREATE INDEX` takes them: `{ expression: 'lower(email) DESC' }`,
   * `{ expression: '(a + b)' }`.
   */
  columns: readonly (string | { readonly expression: string })[];
  /** Default `false`. */
  unique?: boolean;
  /** The predicate of a partial index, as SQL. */
  where?: string;
  /** The access method. Default `'btree'`. */
  method?: string;
}

/** How to build it: without keeping writers out, or on a partitioned table without its partitions. */
export type IndexBuild = 'concurrently' | 'only' | 'plain';

/** Quotes the name of a table or an index as the catalog has it: a dot may be part of either name. */
export function quoteRelation({ schema, name }: TableName): string {
  return schema === undefined ? quoteIdentifier(name) : `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

/** `CREATE INDEX`, in the table's schema. @throws RlsConfigurationError for an index without columns. */
export function buildIndexSql(
  table: TableName,
  name: string,
  definition: IndexDefinition,
  build: IndexBuild,
): string {
  const { columns, unique = false, where, method = 'btree' } = definition;
  if (columns.length === 0) {
    throw new RlsConfigurationError(`Index "${name}" has no columns.`, 'Name its columns.');
  }
  const elements = columns.map((column) =>
    typeof column === 'string' ? quoteIdentifier(column) : column.expression,
  );
  return (
    `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${build === 'concurrently' ? 'CONCURRENTLY ' : ''}${quoteIdentifier(name)} ` +
    `ON ${build === 'only' ? 'ONLY ' : ''}${quoteRelation(table)} USING ${quoteIdentifier(method)} (${elements.join(', ')})` +
    (where === undefined ? '' : ` WHERE ${where}`)
  );
}

/** `DROP INDEX`; not concurrently for an index of a partitioned table, where PostgreSQL has no other way. */
export function dropLiveIndexSql(index: TableName, concurrently: boolean): string {
  return `DROP INDEX ${concurrently ? 'CONCURRENTLY ' : ''}${quoteRelation(index)}`;
}

/** Makes a partition's index part of the partitioned table's. */
export function attachIndexSql(parentIndex: TableName, index: TableName): string {
  return `ALTER INDEX ${quoteRelation(parentIndex)} ATTACH PARTITION ${quoteRelation(index)}`;
}

/** A table with the columns of another and nothing else, to see how PostgreSQL prints a definition. It is rolled back. */
export function createProbeSql(probe: TableName, table: TableName): string {
  return `CREATE TABLE ${quoteRelation(probe)} (LIKE ${quoteRelation(table)})`;
}

/** Name of a partition's index, shortened with a hash where PostgreSQL would truncate it and meet another's. */
export function partitionIndexName(index: string, partition: string): string {
  const name = `${partition}_${index}`;
  return Buffer.byteLength(name) <= MAX_IDENTIFIER_BYTES ? name : objectName(name, 'idx');
}

/**
 * Some keys that more than one row has, with how many rows. Rows with a NULL in them are distinct to an index.
 */
export function duplicateKeysSql(table: TableName, columns: readonly string[], where?: string): string {
  const names = columns.map(quoteIdentifier);
  const conditions = [
    ...names.map((name) => `${name} IS NOT NULL`),
    ...(where === undefined ? [] : [`(${where})`]),
  ];
  return (
    `SELECT concat_ws(', ', ${names.map((name) => `quote_literal(${name}::text)`).join(', ')}) AS "key", count(*)::text AS "rows" ` +
    `FROM ${quoteRelation(table)} WHERE ${conditions.join(' AND ')} GROUP BY ${names.join(', ')} HAVING count(*) > 1 LIMIT 5`
  );
}

/** `ADD CONSTRAINT … UNIQUE USING INDEX`: takes over an index that was built before, without a scan. */
export function addUniqueUsingIndexSql(table: TableName, name: string): string {
  return `ALTER TABLE ${quoteRelation(table)} ADD CONSTRAINT ${quoteIdentifier(name)} UNIQUE USING INDEX ${quoteIdentifier(name)}`;
}

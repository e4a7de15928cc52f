import { RlsConfigurationError } from '../errors.js';
import { quoteLiteral, quoteRole, quoteTable, type TableName } from './identifiers.js';
import { quoteRelation } from './live-index.js';

/** Which rows a partition holds, by the values of the partition key. */
export type PartitionBound =
  | { readonly from: readonly PartitionValue[]; readonly to: readonly PartitionValue[] }
  | { readonly in: readonly PartitionValue[] }
  | { readonly modulus: number; readonly remainder: number };

/** A value of the partition key, as text PostgreSQL takes for its type. */
export type PartitionValue = string | number;

/** `FOR VALUES …`. @throws RlsConfigurationError for a bound that holds nothing. */
export function partitionBoundSql(bound: PartitionBound): string {
  if ('modulus' in bound) {
    return `FOR VALUES WITH (MODULUS ${integer(bound.modulus)}, REMAINDER ${integer(bound.remainder)})`;
  }
  if ('in' in bound) return `FOR VALUES IN (${values(bound.in)})`;
  return `FOR VALUES FROM (${values(bound.from)}) TO (${values(bound.to)})`;
}

/**
 * A table of its own that can become a partition. Indexes, foreign keys and identity come with the attachment; there is
 * no CHECK of the bound, because PostgreSQL has no row to scan.
 */
export function createPartitionSql(parent: string, name: string): string {
  return (
    `CREATE TABLE ${quoteTable(name)} (LIKE ${quoteTable(parent)} INCLUDING ALL EXCLUDING INDEXES EXCLUDING IDENTITY ` +
    'EXCLUDING STATISTICS)'
  );
}

/** Makes the table a partition. Readers and writers of the partitioned table go on. */
export function attachPartitionSql(parent: string, name: string, bound: PartitionBound): string {
  return `ALTER TABLE ${quoteTable(parent)} ATTACH PARTITION ${quoteTable(name)} ${partitionBoundSql(bound)}`;
}

/** An empty table with the parent's partition key and one partition, to see how PostgreSQL prints a bound. */
export function partitionProbeSql(
  probe: TableName,
  parent: string,
  key: string,
  bound: PartitionBound,
): string[] {
  const partition = { ...probe, name: `${probe.name}_part` };
  return [
    `CREATE TABLE ${quoteRelation(probe)} (LIKE ${quoteTable(parent)}) PARTITION BY ${key}`,
    `CREATE TABLE ${quoteRelation(partition)} PARTITION OF ${quoteRelation(probe)} ${partitionBoundSql(bound)}`,
  ];
}

/** Drops a partition, and its rows. */
export function dropPartitionSql(name: string): string {
  return `DROP TABLE ${quoteTable(name)}`;
}

/** Whether the partition holds a row. */
export function partitionHasRowsSql(name: string): string {
  return `SELECT EXISTS (SELECT FROM ${quoteTable(name)}) AS "hasRows"`;
}

/** Takes every privilege on the table from a role, whatever default privileges gave. */
export function revokeAllSql(table: string, role: string): string {
  return `REVOKE ALL ON TABLE ${quoteTable(table)} FROM ${quoteRole(role)}`;
}

/** Makes the table's owner see all rows, or no longer. The app role, which owns nothing, is never affected. */
export function forceRlsSql(table: string, forced: boolean): string {
  return `ALTER TABLE ${quoteTable(table)} ${forced ? 'FORCE' : 'NO FORCE'} ROW LEVEL SECURITY`;
}

function values(list: readonly PartitionValue[]): string {
  if (list.length === 0) {
    throw new RlsConfigurationError(
      'A partition bound names no value.',
      'Name the values of the partition key.',
    );
  }
  return list.map((value) => quoteLiteral(String(value))).join(', ');
}

function integer(value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RlsConfigurationError(
    `A hash partition has modulus or remainder ${value}.`,
    'Both are whole numbers, and the modulus is the greater one.',
  );
}

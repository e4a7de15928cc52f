import { FOREIGN_KEYS, TABLES, UNIQUE_INDEXES } from './consolidate.sql.js';
import type { Session } from './session.js';

/** A column as PostgreSQL's catalog has it. */
export interface CatalogColumn {
  readonly name: string;
  /** With length or precision; of an enum, with its schema where the search path does not find it. */
  readonly type: string;
  readonly baseType: string;
  readonly typmod: number;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
  /** GENERATED ALWAYS AS: nobody writes it. */
  readonly generated: boolean;
  readonly array: boolean;
  /** Of an enum, or of an array of one; else empty. */
  readonly labels: readonly string[];
  /** The sequence that the column owns, quoted. */
  readonly sequence: string | null;
}

/** A table as PostgreSQL's catalog has it. */
export interface CatalogTable {
  /** Quoted, as it was asked for. */
  readonly table: string;
  readonly schema: string;
  readonly readable: boolean;
  /** Row-level security applies to the current role. */
  readonly hidden: boolean;
  readonly columns: readonly CatalogColumn[];
  readonly key: readonly string[];
}

/** A foreign key of a protected table. */
export interface CatalogForeignKey {
  readonly name: string;
  readonly table: string;
  /** Quoted. */
  readonly referencedTable: string;
  readonly columns: readonly string[];
  readonly referencedColumns: readonly string[];
}

/** A unique index of a protected table. */
export interface CatalogUniqueIndex {
  readonly table: string;
  readonly index: string;
  readonly columns: readonly string[];
}

/** Those of the tables that exist, by their quoted names. */
export async function catalogTables(
  session: Session,
  tables: readonly string[],
): Promise<Map<string, CatalogTable>> {
  const found = await session.query<CatalogTable>(TABLES, [tables]);
  return new Map(found.map((table) => [table.table, table]));
}

/** The foreign keys of the protected tables. */
export function foreignKeysOf(session: Session, tables: readonly string[]): Promise<CatalogForeignKey[]> {
  return session.query<CatalogForeignKey>(FOREIGN_KEYS, [tables]);
}

/** The unique indexes of the protected tables, primary keys included. */
export function uniqueIndexesOf(session: Session, tables: readonly string[]): Promise<CatalogUniqueIndex[]> {
  return session.query<CatalogUniqueIndex>(UNIQUE_INDEXES, [tables]);
}

/** Conversions that lose nothing and print the same: what the old column may be where the new one is another type. */
const WIDER: Readonly<Record<string, readonly string[]>> = {
  integer: ['smallint'],
  bigint: ['smallint', 'integer'],
  numeric: ['smallint', 'integer', 'bigint'],
  text: ['character varying'],
  'character varying': ['text'],
};

/** Why the values of an old column do not fit the new one; undefined if they all do. */
export function misfit(old: CatalogColumn, column: CatalogColumn): string | undefined {
  if (column.labels.length > 0) {
    if (old.array !== column.array || old.labels.length === 0) {
      return `is ${old.type}, not ${column.type}`;
    }
    const missing = old.labels.filter((label) => !column.labels.includes(label));
    return missing.length === 0
      ? undefined
      : `has enum values that ${column.type} lacks: ${missing.join(', ')}`;
  }
  const fits =
    old.baseType === column.baseType
      ? old.typmod === column.typmod || column.typmod === -1 || isLonger(old, column)
      : column.typmod === -1 && WIDER[column.baseType]?.includes(old.baseType);
  return fits ? undefined : `is ${old.type}, not ${column.type}`;
}

function isLonger(old: CatalogColumn, column: CatalogColumn): boolean {
  return column.baseType === 'character varying' && old.typmod !== -1 && old.typmod <= column.typmod;
}

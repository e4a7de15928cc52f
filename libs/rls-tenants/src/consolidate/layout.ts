import type { TenantScopedTable } from '../entities/index.js';
import { RlsConfigurationError } from '../errors.js';
import { parseTableName, quoteTable } from '../policies/index.js';
import {
  catalogTables,
  foreignKeysOf,
  uniqueIndexesOf,
  type CatalogForeignKey,
  type CatalogTable,
  type CatalogUniqueIndex,
} from './catalog.js';
import { copyOrder, type Reference } from './copy-order.js';
import type { Session } from './session.js';

/** What stands in the way of a consolidation, and the way out. */
export interface Problem {
  readonly message: string;
  readonly hint: string;
}

/** A protected table that rows are copied into. */
export interface TargetTable {
  /** Its name without a schema: the old tables have the same. */
  readonly name: string;
  readonly scope: TenantScopedTable;
  readonly catalog: CatalogTable;
  /** The primary key without the tenant column, by which the old rows are found. */
  readonly key: readonly string[];
  readonly foreignKeys: readonly CatalogForeignKey[];
  readonly uniqueIndexes: readonly CatalogUniqueIndex[];
  /** The key column whose values are made new. */
  readonly renumbered: string | undefined;
  /** Columns that hold renumbered keys, its own key included, and the table whose keys they are. */
  readonly newKeys: ReadonlyMap<string, TenantScopedTable>;
  /** Columns that are filled in a second pass. */
  readonly deferred: readonly string[];
}

/** The protected tables in the order in which they are copied. */
export interface Layout {
  readonly tables: readonly TargetTable[];
  readonly problems: readonly Problem[];
}

const INTEGERS = new Set(['smallint', 'integer', 'bigint']);

/**
 * Reads how the protected tables hang together.
 *
 * @param chosen copy these only; default all.
 * @throws RlsConfigurationError if a table of `chosen` is none of the tenant-scoped ones.
 */
export async function layoutOf(
  session: Session,
  scopes: readonly TenantScopedTable[],
  chosen: readonly string[] | undefined,
  renumber: boolean,
): Promise<Layout> {
  checkChosen(scopes, chosen);
  const problems: Problem[] = scopes.flatMap((scope) => (scope.sides ? [withoutTenantColumn(scope)] : []));
  const quoted = scopes.map(({ table }) => quoteTable(table));
  const catalog = await catalogTables(session, quoted);
  problems.push(...scopes.filter(({ table }) => !catalog.has(quoteTable(table))).map(missingTable));
  const found = scopes.filter(({ table, sides }) => !sides && catalog.has(quoteTable(table)));
  const foreignKeys = await foreignKeysOf(session, quoted);
  const uniqueIndexes = await uniqueIndexesOf(session, quoted);
  const unordered = found.map((scope) => {
    const table = catalog.get(quoteTable(scope.table))!;
    const own = foreignKeys.filter((key) => key.table === table.table);
    return {
      name: parseTableName(scope.table).name,
      scope,
      catalog: table,
      key: table.key.filter((column) => column !== scope.tenantColumn),
      foreignKeys: own,
      uniqueIndexes: uniqueIndexes.filter((index) => index.table === table.table),
      renumbered: renumber ? renumberedKey(table, scope, own) : undefined,
    };
  });
  const order = copyOrder(
    unordered.map(({ catalog: { table } }) => table),
    unordered.flatMap(referencesOf),
  );
  const tables = order.tables.map((quotedName) => {
    const table = unordered.find((other) => other.catalog.table === quotedName)!;
    const deferred = order.deferred.filter((reference) => reference.table === quotedName);
    return {
      ...table,
      newKeys: newKeysOf(table, unordered),
      deferred: [...new Set(deferred.flatMap(({ nullable }) => nullable))],
    };
  });
  return {
    tables: tables.filter(({ scope }) => !chosen || chosen.includes(scope.table)),
    problems: [
      ...problems,
      ...tables.filter(({ key }) => key.length === 0).map(({ scope }) => withoutKey(scope)),
      ...order.impossible.map(impossibleCycle),
    ],
  };
}

type Unordered = Omit<TargetTable, 'newKeys' | 'deferred'>;

/** The key column, where keys of different schemas would meet: one integer of a sequence, without the tenant. */
function renumberedKey(
  { columns, key }: CatalogTable,
  { tenantColumn }: TenantScopedTable,
  foreignKeys: readonly CatalogForeignKey[],
): string | undefined {
  const [name, ...more] = key;
  if (name === undefined || more.length > 0 || name === tenantColumn) return undefined;
  const column = columns.find((candidate) => candidate.name === name)!;
  const isReference = foreignKeys.some((foreignKey) => foreignKey.columns.includes(name));
  return INTEGERS.has(column.type) && column.sequence !== null && !isReference ? name : undefined;
}

function newKeysOf(table: Unordered, tables: readonly Unordered[]): Map<string, TenantScopedTable> {
  const newKeys = new Map<string, TenantScopedTable>();
  if (table.renumbered !== undefined) newKeys.set(table.renumbered, table.scope);
  for (const { columns, referencedColumns, referencedTable } of table.foreignKeys) {
    const referenced = tables.find(({ catalog }) => catalog.table === referencedTable);
    if (referenced?.renumbered === undefined) continue;
    const column = columns[referencedColumns.indexOf(referenced.renumbered)];
    if (column !== undefined) newKeys.set(column, referenced.scope);
  }
  return newKeys;
}

function referencesOf({ scope, catalog, foreignKeys }: Unordered): Reference[] {
  const free = catalog.columns.filter(({ name, notNull }) => !notNull && name !== scope.tenantColumn);
  return foreignKeys.map(({ name, table, referencedTable, columns }) => ({
    name,
    table,
    referencedTable,
    nullable: columns.filter((column) => free.some((candidate) => candidate.name === column)),
  }));
}

function checkChosen(scopes: readonly TenantScopedTable[], chosen: readonly string[] | undefined): void {
  const unknown = chosen?.find((table) => !scopes.some((scope) => scope.table === table));
  if (unknown === undefined) return;
  throw new RlsConfigurationError(
    `"${unknown}" is no table of a tenant-scoped entity.`,
    `Name tables as the entities do: ${scopes.map(({ table }) => table).join(', ')}.`,
  );
}

function withoutTenantColumn({ table }: TenantScopedTable): Problem {
  return {
    message: `Join table "${table}" has no tenant column of its own`,
    hint: "Protect it with one: leave out joinTables: 'exists' on the entity that owns it.",
  };
}

function missingTable({ table }: TenantScopedTable): Problem {
  return {
    message: `Table "${table}" does not exist yet`,
    hint: 'Run the migrations that create and protect the tables first.',
  };
}

function withoutKey({ table }: TenantScopedTable): Problem {
  return {
    message: `Table "${table}" has no primary key beside the tenant column`,
    hint: 'Add one that the old tables have as well: it orders the batches.',
  };
}

function impossibleCycle(tables: readonly string[]): Problem {
  return {
    message: `The foreign keys of ${tables.join(', ')} form a cycle in which no column may be NULL`,
    hint: 'Drop NOT NULL from one of these columns until the rows are copied. DEFERRABLE does not help, for each batch is a transaction.',
  };
}

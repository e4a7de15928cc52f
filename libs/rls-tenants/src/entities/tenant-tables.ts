import type { DataSource, EntityMetadata } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import type { JoinTableSide, TenantTable } from '../policies/index.js';
import { joinedEntitiesOf, joinTableFormOf, tenantScopedSidesOf, type JoinedEntity } from './join-tables.js';
import { isTenantScoped } from './tenant-registry.js';
import { readingOptionsOf, tenantScopeOf, type TenantScope } from './tenant-scope.js';

export { isTenantScoped } from './tenant-registry.js';
export { tenantColumnOf } from './tenant-scope.js';

/** A table that must be protected, as the entities of a data source declare it. */
export interface TenantScopedTable extends TenantTable {
  tenantColumn: string;
  tenantSetting: string;
  /** A tenant-scoped entity's table, or a join table between tenant-scoped entities. */
  kind: 'entity' | 'join-table';
  /** The entity's name; for a join table, of the entity that owns it. */
  entityName: string;
  /** For a join table without a tenant column of its own (the EXISTS form): the tables it is protected through. */
  sides?: readonly JoinTableSide[];
}

/**
 * Every table of the data source's entities that must be protected, join tables included, in a stable order: entities'
 * tables first (a join table's EXISTS policy names them), each kind by name.
 *
 * @throws RlsConfigurationError if the data source is not initialized, or was initialized without this library.
 */
export function tenantTablesOf(dataSource: DataSource): TenantScopedTable[] {
  if (dataSource.entityMetadatas.length === 0 && !dataSource.isInitialized) {
    throw new RlsConfigurationError(
      'The data source is not initialized, so its entities are not known.',
      'Call `await dataSource.initialize()` first.',
    );
  }
  const tables = new Map<string, TenantScopedTable>();
  for (const table of dataSource.entityMetadatas.flatMap((metadata) => tenantTableOf(metadata) ?? [])) {
    // Several entities may share a table: the children of single-table inheritance, an entity of a join table.
    const known = tables.get(table.table);
    if (!known || (known.kind === 'join-table' && table.kind === 'entity')) tables.set(table.table, table);
  }
  return [...tables.values()].sort((a, b) => compare(a.kind, b.kind) || compare(a.table, b.table));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function tenantTableOf(metadata: EntityMetadata): TenantScopedTable | undefined {
  if (metadata.tableType === 'entity-child') return undefined;
  if (metadata.isJunction) return joinTableOf(metadata);
  const scope = tenantScopeOf(metadata);
  if (scope)
    return {
      ...tableOf(metadata, scope),
      tenantColumn: scope.column.databaseName,
      kind: 'entity',
      entityName: metadata.name,
    };
  if (!isTenantScoped(metadata.target)) return undefined;
  throw new RlsConfigurationError(
    `The metadata of tenant-scoped entity "${metadata.name}" was not completed.`,
    'Two copies of TypeORM or of nestjs-rls-tenants are loaded: `npm ls typeorm nestjs-rls-tenants` shows them.',
  );
}

function joinTableOf(joinTable: EntityMetadata): TenantScopedTable | undefined {
  const sides = tenantScopedSidesOf(joinTable);
  if (!sides[0]) return undefined;
  // Both sides agree on the type and on the setting; for the EXISTS form the column is the sides' own.
  const scope = tenantScopeOf(joinTable) ?? tenantScopeOf(sides[0].metadata)!;
  const common = {
    ...tableOf(joinTable, scope),
    tenantColumn: scope.column.databaseName,
    kind: 'join-table',
    entityName: joinedEntitiesOf(joinTable)[0].metadata.name,
  } as const;
  if (joinTableFormOf(joinTable) !== 'exists') return common;
  // Its policy compares the tenants of its sides with the current one, and knows no other.
  const { readableBySet: _set, sharedTenant: _shared, ...own } = common;
  return { ...own, sides: sides.map(sideOf) };
}

function tableOf(metadata: EntityMetadata, scope: TenantScope) {
  const { tenantIdType, tenantSetting } = scope;
  return { table: metadata.tablePath, tenantIdType, tenantSetting, ...readingOptionsOf(scope) };
}

function sideOf({ metadata, columns }: JoinedEntity): JoinTableSide {
  return {
    table: metadata.tablePath,
    columns: columns.map((column) => ({
      column: column.databaseName,
      referencedColumn: column.referencedColumn!.databaseName,
    })),
    tenantColumn: tenantScopeOf(metadata)!.column.databaseName,
  };
}

import type { DataSource, EntityMetadata } from 'typeorm';
import { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js';
import { RlsConfigurationError } from '../errors.js';
import { dataSourceOf } from './data-source.js';
import { tenantScopedOptionsOf, type JoinTableForm } from './tenant-registry.js';
import { readingOptionsOf, setTenantScope, tenantScopeOf } from './tenant-scope.js';

/** One side of a join table, tenant-scoped or not: the entity it joins and its columns that reference that entity. */
export interface JoinedEntity {
  readonly metadata: EntityMetadata;
  readonly columns: readonly ColumnMetadata[];
}

/** The two sides of a many-to-many join table, or of the closure table of a tree; the owner first. */
export function joinedEntitiesOf(joinTable: EntityMetadata): [owner: JoinedEntity, inverse: JoinedEntity] {
  if (joinTable.isClosureJunction) {
    const metadata = joinTable.parentClosureEntityMetadata;
    return [
      { metadata, columns: joinTable.ancestorColumns },
      { metadata, columns: joinTable.descendantColumns },
    ];
  }
  const relation = joinTable.ownerColumns[0]!.relationMetadata!;
  return [
    { metadata: relation.entityMetadata, columns: joinTable.ownerColumns },
    { metadata: relation.inverseEntityMetadata, columns: joinTable.inverseColumns },
  ];
}

/** The sides whose entities are tenant-scoped; none for a join table that needs no protection. */
export function tenantScopedSidesOf(joinTable: EntityMetadata): JoinedEntity[] {
  return joinedEntitiesOf(joinTable).filter(({ metadata }) => tenantScopeOf(metadata));
}

/** The form that the owner asks for; where the owner is not tenant-scoped, the other side. */
export function joinTableFormOf(joinTable: EntityMetadata): JoinTableForm {
  const [side] = tenantScopedSidesOf(joinTable);
  return (side && tenantScopedOptionsOf(side.metadata.target)?.joinTables) ?? 'tenant-column';
}

/**
 * Gives a join table between tenant-scoped entities a tenant column of its own, unless its owner asked for the EXISTS
 * form. TypeORM then creates it and keeps it, and leaves filling it to the column default, because it is no part of the
 * relation's columns: adding, removing, setting and loading relations work as before. Its indexes lead with the tenant
 * column.
 *
 * @throws RlsConfigurationError if the join table has a column of that name, or an entity class of its own that is not
 * tenant-scoped.
 */
export function completeJoinTable(joinTable: EntityMetadata, metadatas: readonly EntityMetadata[]): void {
  const [side] = tenantScopedSidesOf(joinTable);
  if (!side || joinTableFormOf(joinTable) === 'exists') return;
  const scope = tenantScopeOf(side.metadata)!;
  checkJoinTable(joinTable, scope.column.databaseName, metadatas);
  const dataSource = dataSourceOf(joinTable);
  const options = {
    // TypeORM 0.3 reads it; 1.x does not.
    connection: dataSource,
    entityMetadata: joinTable,
    args: {
      target: '',
      mode: 'virtual',
      propertyName: scope.column.databaseName,
      options: {
        name: scope.column.givenDatabaseName ?? scope.column.databaseName,
        type: scope.column.type,
        length: scope.column.length,
        default: scope.column.default,
        nullable: false,
      },
    },
  } satisfies ConstructorParameters<typeof ColumnMetadata>[0] & { connection: DataSource };
  const column = new ColumnMetadata(options).build(dataSource);
  joinTable.registerColumn(column);
  leadIndexesWith(column, joinTable);
  const { tenantIdType, tenantSetting } = scope;
  setTenantScope(joinTable, { column, tenantIdType, tenantSetting, ...readingOptionsOf(scope) });
}

/**
 * TypeORM indexes each side of a join table. With the tenant column in front these indexes serve the policy, the links
 * of a row, and the cascades of the composite foreign keys.
 */
function leadIndexesWith(tenantColumn: ColumnMetadata, joinTable: EntityMetadata): void {
  const { namingStrategy } = dataSourceOf(joinTable);
  for (const index of joinTable.indices) {
    index.columns = [tenantColumn, ...index.columns];
    index.build(namingStrategy);
  }
}

function checkJoinTable(
  joinTable: EntityMetadata,
  tenantColumn: string,
  metadatas: readonly EntityMetadata[],
): void {
  if (joinTable.findColumnWithDatabaseName(tenantColumn)) {
    throw new RlsConfigurationError(
      `Join table "${joinTable.tableName}" already has a column "${tenantColumn}".`,
      "Rename that join column in @JoinTable(), or use @TenantScoped({ joinTables: 'exists' }) on the entity that owns it.",
    );
  }
  const twin = metadatas.find((other) => !other.isJunction && other.tablePath === joinTable.tablePath);
  if (twin && !tenantScopeOf(twin)) {
    throw new RlsConfigurationError(
      `Entity "${twin.name}" maps the join table "${joinTable.tableName}" of tenant-scoped entities and is not tenant-scoped.`,
      `Add @TenantScoped() and a @TenantColumn() to ${twin.targetName}.`,
    );
  }
}

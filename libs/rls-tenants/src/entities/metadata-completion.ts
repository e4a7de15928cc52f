import type { EntityMetadata } from 'typeorm';
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js';
import { parseTenantId, type TenantIdType } from '../context/tenant-id.js';
import { RlsConfigurationError } from '../errors.js';
import { composeForeignKeys } from './composite-foreign-keys.js';
import { dataSourceOf } from './data-source.js';
import { completeJoinTable } from './join-tables.js';
import { teachSchemaBuilder } from './schema-builder.js';
import { isTenantScoped, tenantColumnDefinitionOf, tenantScopedOptionsOf } from './tenant-registry.js';
import { readingOptionsOf, setTenantScope, type TenantScope } from './tenant-scope.js';

// What TypeORM's driver makes of a column's type. A text tenant column that shares its column with a relation takes the
// type of the referenced key, which TypeORM makes a varchar for a string.
const TENANT_ID_TYPE_OF = new Map<string, TenantIdType>([
  ['uuid', 'uuid'],
  ['integer', 'integer'],
  ['bigint', 'bigint'],
  ['text', 'text'],
  ['character varying', 'text'],
]);

/**
 * Completes what TypeORM built for the entities of one data source, so that its schema is tenant-safe: composite foreign
 * keys among tenant-scoped tables, the unique constraints they reference, and the tenant columns of join tables.
 * Does nothing where no entity is tenant-scoped.
 *
 * @throws RlsConfigurationError where the entities contradict each other.
 */
export function completeTenantMetadata(metadatas: readonly EntityMetadata[]): void {
  const scopes = metadatas
    .filter((metadata) => !metadata.isJunction)
    .flatMap((metadata) => resolveScope(metadata) ?? []);
  const [first] = scopes;
  if (!first) return;
  const dataSource = dataSourceOf(first.column.entityMetadata);
  if (dataSource.options.type !== 'postgres') {
    throw new RlsConfigurationError(
      `Entity "${first.column.entityMetadata.name}" is tenant-scoped, and its data source is of type "${dataSource.options.type}".`,
      "Row-level security needs PostgreSQL: a data source of type 'postgres'.",
    );
  }
  scopes.forEach((scope) => checkAgreement(first, scope));
  metadatas.forEach((metadata) => metadata.isJunction && completeJoinTable(metadata, metadatas));
  metadatas.forEach((metadata) => composeForeignKeys(metadata));
  teachSchemaBuilder(dataSource);
}

/** Finds and checks an entity's tenant column, and remembers it; undefined for an entity that is not tenant-scoped. */
function resolveScope(metadata: EntityMetadata): TenantScope | undefined {
  const columns = metadata.columns.filter((column) =>
    tenantColumnDefinitionOf(column.target, column.propertyName),
  );
  if (!isTenantScoped(metadata.target)) {
    if (columns.length === 0) return undefined;
    throw new RlsConfigurationError(
      `Entity "${metadata.name}" has a tenant column and is not tenant-scoped, so nothing would protect its table.`,
      `Add @TenantScoped() to the class ${metadata.targetName}.`,
    );
  }
  checkTable(metadata);
  const [column, second] = columns;
  if (!column || second) throw wrongNumberOfColumns(metadata, columns);
  const definition = tenantColumnDefinitionOf(column.target, column.propertyName)!;
  const scope = { column, ...definition, ...readingOf(metadata, definition.tenantIdType) };
  checkColumn(metadata, scope);
  setTenantScope(metadata, scope);
  return scope;
}

/** What the entity whose table it is declares: its children share the policies. */
function readingOf(metadata: EntityMetadata, tenantIdType: TenantIdType) {
  const { target } = metadata.tableType === 'entity-child' ? metadata.parentEntityMetadata : metadata;
  const options = readingOptionsOf(tenantScopedOptionsOf(target)!);
  if (options.sharedTenant === undefined) return options;
  try {
    return { ...options, sharedTenant: parseTenantId(tenantIdType, options.sharedTenant) };
  } catch (cause) {
    throw new RlsConfigurationError(
      `The shared tenant of entity "${metadata.name}" is no tenant id of type ${tenantIdType}.`,
      'Give @TenantScoped({ sharedTenant }) an id in the form of @TenantColumn(), which no tenant has.',
      { cause },
    );
  }
}

function checkTable(metadata: EntityMetadata): void {
  if (metadata.tableType === 'view') {
    throw new RlsConfigurationError(
      `View entity "${metadata.name}" is marked @TenantScoped(), and PostgreSQL has no policies on views.`,
      'Remove the mark and create the view WITH (security_invoker = true), so that the policies of its tables apply.',
    );
  }
  if (metadata.tableType === 'entity-child' && !isTenantScoped(metadata.parentEntityMetadata.target)) {
    throw new RlsConfigurationError(
      `Entity "${metadata.name}" is tenant-scoped and shares its table with "${metadata.parentEntityMetadata.name}", which is not.`,
      `Move @TenantScoped() and the tenant column to ${metadata.parentEntityMetadata.name}, whose table it is.`,
    );
  }
}

function wrongNumberOfColumns(
  metadata: EntityMetadata,
  columns: readonly ColumnMetadata[],
): RlsConfigurationError {
  return columns.length === 0
    ? new RlsConfigurationError(
        `Tenant-scoped entity "${metadata.name}" has no tenant column.`,
        'Add @TenantColumn() to one property of the class or of a class it extends.',
      )
    : new RlsConfigurationError(
        `Tenant-scoped entity "${metadata.name}" has ${columns.length} tenant columns: ${columns.map((column) => column.propertyPath).join(', ')}.`,
        'Leave @TenantColumn() on exactly one property.',
      );
}

function checkColumn(metadata: EntityMetadata, { column, tenantIdType }: TenantScope): void {
  if (column.embeddedMetadata) {
    throw new RlsConfigurationError(
      `The tenant column of entity "${metadata.name}" is inside the embedded "${column.embeddedMetadata.propertyPath}".`,
      'Declare @TenantColumn() on the entity class itself or on a class it extends.',
    );
  }
  const databaseType = dataSourceOf(metadata).driver.normalizeType(column);
  if (TENANT_ID_TYPE_OF.get(databaseType) !== tenantIdType) {
    throw new RlsConfigurationError(
      `The tenant column of entity "${metadata.name}" is declared as ${tenantIdType} and has the database type ${databaseType}.`,
      'A relation that shares the column gives it the type of the key it references: declare @TenantColumn({ type }) as that type.',
    );
  }
  if (column.isNullable) {
    throw new RlsConfigurationError(
      `The tenant column of entity "${metadata.name}" is nullable, because a child entity of its table declares it.`,
      'Declare @TenantColumn() on the class that has @TableInheritance(), or on a class it extends.',
    );
  }
}

function checkAgreement(first: TenantScope, other: TenantScope): void {
  for (const property of ['tenantIdType', 'tenantSetting'] as const) {
    if (first[property] === other[property]) continue;
    const [one, two] = [first, other].map(
      (scope) => `"${scope.column.entityMetadata.name}" has ${scope[property]}`,
    );
    throw new RlsConfigurationError(
      `The tenant-scoped entities of one data source differ in ${property}: ${one}, ${two}.`,
      'One application has one type of tenant ids and one tenant setting: give every @TenantColumn() the same.',
    );
  }
}

import type { EntityMetadata } from 'typeorm';
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js';
import type { ForeignKeyMetadata } from 'typeorm/metadata/ForeignKeyMetadata.js';
import { UniqueMetadata } from 'typeorm/metadata/UniqueMetadata.js';
import { RlsConfigurationError } from '../errors.js';
import { dataSourceOf } from './data-source.js';
import { tenantScopeOf } from './tenant-scope.js';

// The release in which SET NULL takes a list of columns.
const SET_NULL_COLUMNS_SINCE = 15;

/**
 * Makes the foreign keys of a tenant-scoped table to tenant-scoped tables composite: `(tenant_id, x_id)` references
 * `(tenant_id, id)`. PostgreSQL's constraint checks and cascades ignore row-level security, so a plain key would let one
 * tenant reference another's row, and the other's delete would cascade. Test: "a row cannot reference another tenant's".
 *
 * Only the database's constraint changes. The relation keeps its join columns, so that loading and saving stay as
 * declared.
 *
 * @throws RlsConfigurationError for a key that cannot be composed, or whose action would write the tenant column.
 */
export function composeForeignKeys(metadata: EntityMetadata): void {
  // A child entity's table is its parent's, and so are the foreign keys of that table.
  if (metadata.tableType === 'entity-child' || !tenantScopeOf(metadata)) return;
  metadata.foreignKeys.forEach(composeForeignKey);
}

function composeForeignKey(foreignKey: ForeignKeyMetadata): void {
  const own = tenantScopeOf(foreignKey.entityMetadata)!.column;
  const referenced = tenantScopeOf(foreignKey.referencedEntityMetadata)?.column;
  if (!referenced) return;
  const position = foreignKey.referencedColumns.findIndex(
    (column) => column.databaseName === referenced.databaseName,
  );
  if (position === -1) {
    foreignKey.columns = [own, ...foreignKey.columns];
    foreignKey.referencedColumns = [referenced, ...foreignKey.referencedColumns];
  } else if (foreignKey.columns[position]?.databaseName !== own.databaseName) {
    // A join table that joins entities with composite primary keys has a copy of the tenant column for each side.
    if (!foreignKey.entityMetadata.isJunction)
      throw foreignTenantColumn(foreignKey, foreignKey.columns[position]);
    foreignKey.columns = foreignKey.columns.with(position, own);
  }
  checkActions(foreignKey);
  foreignKey.build(dataSourceOf(foreignKey.entityMetadata).namingStrategy);
  ensureUnique(foreignKey.referencedEntityMetadata, foreignKey.referencedColumns);
}

/** The columns that `ON DELETE SET NULL` may null: all but the tenant column. */
export function nullableColumnsOf(foreignKey: ForeignKeyMetadata): string[] {
  const tenantColumn = tenantScopeOf(foreignKey.entityMetadata)?.column.databaseName;
  return foreignKey.columnNames.filter((name) => name !== tenantColumn);
}

function checkActions(foreignKey: ForeignKeyMetadata): void {
  const { onDelete, onUpdate } = foreignKey;
  const { driver } = dataSourceOf(foreignKey.entityMetadata);
  const wrongUpdate = onUpdate === 'SET NULL' || onUpdate === 'DEFAULT';
  if (wrongUpdate || onDelete === 'DEFAULT') {
    throw new RlsConfigurationError(
      `The foreign key ${describe(foreignKey)} has ${wrongUpdate ? `onUpdate '${onUpdate}'` : `onDelete '${onDelete}'`}, which would overwrite the tenant column.`,
      "Use 'NO ACTION', 'RESTRICT' or 'CASCADE'.",
    );
  }
  if (
    onDelete === 'SET NULL' &&
    driver.version &&
    Number.parseInt(driver.version, 10) < SET_NULL_COLUMNS_SINCE
  ) {
    throw new RlsConfigurationError(
      `The foreign key ${describe(foreignKey)} has onDelete 'SET NULL', which before PostgreSQL ${SET_NULL_COLUMNS_SINCE} would null the tenant column too.`,
      `Use 'NO ACTION' and set the reference to null before the delete, or upgrade the server (it is ${driver.version}).`,
    );
  }
}

/** PostgreSQL wants a unique constraint or index over exactly the referenced columns, in any order. */
function ensureUnique(referenced: EntityMetadata, columns: ColumnMetadata[]): void {
  const metadata = referenced.tableType === 'entity-child' ? referenced.parentEntityMetadata : referenced;
  const wanted = new Set(columns.map((column) => column.databaseName));
  const covers = (candidates: readonly ColumnMetadata[]) =>
    candidates.length === wanted.size && candidates.every((column) => wanted.has(column.databaseName));
  const exists =
    covers(metadata.primaryColumns) ||
    metadata.uniques.some((unique) => !unique.deferrable && covers(unique.columns)) ||
    metadata.indices.some((index) => index.isUnique && !index.where && covers(index.columns));
  if (exists) return;
  const unique = new UniqueMetadata({ entityMetadata: metadata, columns, args: { target: metadata.target } });
  // Without embedded columns TypeORM keeps one array under both names.
  metadata.ownUniques.push(unique.build(dataSourceOf(metadata).namingStrategy));
  if (metadata.uniques !== metadata.ownUniques) metadata.uniques.push(unique);
}

function foreignTenantColumn(
  foreignKey: ForeignKeyMetadata,
  column: ColumnMetadata | undefined,
): RlsConfigurationError {
  const own = tenantScopeOf(foreignKey.entityMetadata)!.column;
  return new RlsConfigurationError(
    `The foreign key ${describe(foreignKey)} takes the other row's tenant from "${column?.databaseName}", so it could point to another tenant.`,
    `Reference the other tenant column from "${own.databaseName}": @JoinColumn([{ name: '${own.databaseName}', referencedColumnName: … }, …]).`,
  );
}

function describe({ entityMetadata, referencedEntityMetadata, columns }: ForeignKeyMetadata): string {
  const names = columns.map((column) => column.databaseName).join(', ');
  return `of "${entityMetadata.name}" (${names}) to "${referencedEntityMetadata.name}"`;
}

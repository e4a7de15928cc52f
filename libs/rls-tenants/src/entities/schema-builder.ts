/**
 * What TypeORM's schema builder must know about tenant columns, so that `migration:generate` and synchronize write what
 * the metadata means and then see no difference. Two things cannot be said in metadata alone:
 *
 * - PostgreSQL reads the default of a tenant column back in its own spelling (`NULLIF` in upper case, casts to text).
 *   TypeORM lower-cases the declared default and compares texts, so that it would alter the column for ever.
 * - `ON DELETE SET NULL` of a composite foreign key must name the columns to null, or the tenant column would be nulled
 *   too. TypeORM writes `onDelete` as it stands and compares it with what it reads back, which names no columns.
 */
import type { DataSource, TableColumn } from 'typeorm';
import type { Driver } from 'typeorm/driver/Driver.js';
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js';
import type { ForeignKeyMetadata } from 'typeorm/metadata/ForeignKeyMetadata.js';
import type { SchemaBuilder } from 'typeorm/schema-builder/SchemaBuilder.js';
import { quoteIdentifier } from '../policies/index.js';
import { nullableColumnsOf } from './composite-foreign-keys.js';
import { tenantColumnOf, tenantScopeOf } from './tenant-scope.js';

const taught = new WeakSet<Driver>();

/** Teaches the data source's driver to compare and create tenant columns and their foreign keys. Once per driver. */
export function teachSchemaBuilder(dataSource: DataSource): void {
  const { driver } = dataSource;
  if (taught.has(driver)) return;
  taught.add(driver);
  const findChangedColumns = driver.findChangedColumns.bind(driver);
  driver.findChangedColumns = (tableColumns, columnMetadatas) =>
    findChangedColumns(withDeclaredDefault(driver, tableColumns, columnMetadatas), columnMetadatas);
  const createSchemaBuilder = driver.createSchemaBuilder.bind(driver);
  driver.createSchemaBuilder = () => nullingOnlyReferences(dataSource, createSchemaBuilder());
}

/** The table's columns, the tenant column's default spelled as declared if it means the same. */
function withDeclaredDefault(
  driver: Driver,
  tableColumns: TableColumn[],
  metadatas: ColumnMetadata[],
): TableColumn[] {
  const tenantColumn = metadatas.find((column) => tenantColumnOf(column.entityMetadata) === column);
  const declared = tenantColumn && driver.normalizeDefault(tenantColumn);
  if (declared === undefined) return tableColumns;
  return tableColumns.map((column) => {
    if (column.name !== tenantColumn!.databaseName || spelling(column.default) !== spelling(declared))
      return column;
    const same = column.clone();
    same.default = lowerCase(declared);
    return same;
  });
}

/** An expression without casts, parentheses, spaces and case, which PostgreSQL adds and drops as it likes. */
function spelling(expression: unknown): string {
  return lowerCase(String(expression)).replaceAll(/::[a-z]+|[()\s]/g, '');
}

/** Lower case outside literals: TypeORM's own treatment of a declared default. */
function lowerCase(expression: string): string {
  return expression
    .split("'")
    .map((part, index) => (index % 2 === 1 ? part : part.toLowerCase()))
    .join("'");
}

/** The builder, with the columns named in every `ON DELETE SET NULL` that it creates. */
function nullingOnlyReferences(dataSource: DataSource, builder: SchemaBuilder): SchemaBuilder {
  const steps = builder as SchemaBuilder & { createForeignKeys(): Promise<void> };
  const createForeignKeys = steps.createForeignKeys.bind(steps);
  steps.createForeignKeys = async () => {
    const foreignKeys = dataSource.entityMetadatas.flatMap((metadata) =>
      metadata.foreignKeys.filter(isCompositeSetNull),
    );
    for (const foreignKey of foreignKeys) {
      const columns = nullableColumnsOf(foreignKey).map(quoteIdentifier).join(', ');
      foreignKey.onDelete = `SET NULL (${columns})` as 'SET NULL';
    }
    try {
      await createForeignKeys();
    } finally {
      for (const foreignKey of foreignKeys) foreignKey.onDelete = 'SET NULL';
    }
  };
  return builder;
}

function isCompositeSetNull(foreignKey: ForeignKeyMetadata): boolean {
  const scoped =
    tenantScopeOf(foreignKey.entityMetadata) && tenantScopeOf(foreignKey.referencedEntityMetadata);
  return foreignKey.onDelete === 'SET NULL' && scoped !== undefined;
}

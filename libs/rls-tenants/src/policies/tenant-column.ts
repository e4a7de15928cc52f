import { parseTenantId, type TenantId } from '../context/tenant-id.js';
import { quoteIdentifier, quoteLiteral, quoteTable } from './identifiers.js';
import { columnPairs, type JoinTableSide } from './join-table-policy.js';
import { checkTenantIdType, currentTenantSql } from './tenant-expression.js';
import { DEFAULT_TENANT_COLUMN, type TenantTable } from './tenant-policy.js';

/** Adds the tenant column, nullable and without default: PostgreSQL would give existing rows the default of whoever migrates. */
export function addTenantColumnSql(table: TenantTable): string {
  return `${alterTable(table)} ADD COLUMN ${column(table)} ${checkTenantIdType(table.tenantIdType)}`;
}

/** The inverse of {@link addTenantColumnSql}. */
export function dropTenantColumnSql(table: TenantTable): string {
  return `${alterTable(table)} DROP COLUMN ${column(table)}`;
}

/** Fills the tenant column of new rows with the current tenant, so that raw SQL need not name it. */
export function setTenantDefaultSql(table: TenantTable): string {
  return `${alterTable(table)} ALTER COLUMN ${column(table)} SET DEFAULT ${currentTenantSql(table.tenantIdType, table.tenantSetting)}`;
}

/** The inverse of {@link setTenantDefaultSql}. */
export function dropTenantDefaultSql(table: TenantTable): string {
  return `${alterTable(table)} ALTER COLUMN ${column(table)} DROP DEFAULT`;
}

/** A row of no tenant would be invisible to all of them, and composite foreign keys skip it (MATCH SIMPLE). */
export function setTenantNotNullSql(table: TenantTable): string {
  return `${alterTable(table)} ALTER COLUMN ${column(table)} SET NOT NULL`;
}

/** The inverse of {@link setTenantNotNullSql}. */
export function dropTenantNotNullSql(table: TenantTable): string {
  return `${alterTable(table)} ALTER COLUMN ${column(table)} DROP NOT NULL`;
}

/** Gives every row without a tenant the tenant of the row that `side` names. */
export function fillTenantFromSideSql(table: TenantTable, side: JoinTableSide): string {
  const pairs = columnPairs(side).map(
    (pair) => `"parent".${quoteIdentifier(pair.referencedColumn)} = "child".${quoteIdentifier(pair.column)}`,
  );
  return (
    `UPDATE ${quoteTable(table.table)} AS "child" SET ${column(table)} = "parent".${quoteIdentifier(side.tenantColumn ?? DEFAULT_TENANT_COLUMN)} ` +
    `FROM ${quoteTable(side.table)} AS "parent" WHERE ${pairs.join(' AND ')} AND "child".${column(table)} IS NULL`
  );
}

/** Gives every row without a tenant the one tenant. @throws InvalidTenantIdError if it is no tenant id of the type. */
export function fillTenantWithSql(table: TenantTable, tenantId: TenantId): string {
  const literal = quoteLiteral(parseTenantId(table.tenantIdType, tenantId));
  return `UPDATE ${quoteTable(table.table)} SET ${column(table)} = ${literal} WHERE ${column(table)} IS NULL`;
}

function alterTable({ table }: TenantTable): string {
  return `ALTER TABLE ${quoteTable(table)}`;
}

function column({ tenantColumn = DEFAULT_TENANT_COLUMN }: TenantTable): string {
  return quoteIdentifier(tenantColumn);
}

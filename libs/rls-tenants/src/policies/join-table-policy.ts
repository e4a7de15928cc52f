import { RlsConfigurationError } from '../errors.js';
import { parseTableName, quoteIdentifier, quoteTable } from './identifiers.js';
import { sealedTenantSql } from './seal.js';
import { currentTenantSql } from './tenant-expression.js';
import {
  DEFAULT_TENANT_COLUMN,
  joinTablePolicyName,
  protectByPoliciesSql,
  protectSql,
  tenantPolicies,
  unprotectSql,
  type TenantTable,
} from './tenant-policy.js';

/** One side of a join table: the tenant-scoped table that a foreign key of the join table points to. */
export interface JoinTableSide {
  /** The referenced table, in TypeORM's notation. */
  table: string;
  /** The join table's foreign-key columns and the columns they reference, pairwise. */
  columns: readonly { readonly column: string; readonly referencedColumn: string }[];
  /** The referenced table's tenant column. Default `'tenant_id'`. */
  tenantColumn?: string;
}

/** A join table without a tenant column of its own, protected through the tables it joins. */
export interface ExistsJoinTable extends Omit<
  TenantTable,
  'table' | 'tenantColumn' | 'readableBySet' | 'sharedTenant'
> {
  /** The join table, in TypeORM's notation. */
  joinTable: string;
  /** One or two tenant-scoped sides; a link is visible if every one of them is. */
  sides: readonly JoinTableSide[];
}

/**
 * The predicate of a join table without a tenant column: every side's row exists and is the current tenant's. For USING
 * and WITH CHECK alike, so that a tenant can neither see nor make a link to another tenant's row.
 *
 * The sides' tenant columns are compared here too, although the sides' own policies filter the sub-selects: the link
 * must stay hidden from a tenant even where a side has lost its policy. Unlike in `tenantPredicateSql` the setting is in
 * a sub-select: a row is looked up by its key here, where knowing the tenant improves no plan, and once for each link.
 *
 * @throws RlsConfigurationError for a join table without sides, or a side without columns.
 */
export function existsJoinTablePredicate({
  joinTable,
  sides,
  tenantIdType,
  tenantSetting,
  sealed = false,
}: ExistsJoinTable): string {
  if (sides.length === 0) {
    throw new RlsConfigurationError(
      `Join table "${joinTable}" has no sides.`,
      'Name the tenant-scoped tables that it joins.',
    );
  }
  const currentTenant = sealed
    ? sealedTenantSql(tenantIdType, tenantSetting)
    : `(SELECT ${currentTenantSql(tenantIdType, tenantSetting)})`;
  const { name } = parseTableName(joinTable);
  return sides
    .map((side, index) => sideExistsSql(side, name, `${sideAlias(name)}_${index + 1}`, currentTenant))
    .join(' AND ');
}

/** Protects a join table that has its own tenant column: the tenant predicate, under a join table's policy name. */
export function protectJoinTableSql(joinTable: TenantTable): string[] {
  const { table, adminRole } = joinTable;
  return protectByPoliciesSql(table, tenantPolicies(joinTable, joinTablePolicyName(table)), adminRole);
}

/** Protects a join table through the tables it joins. */
export function protectExistsJoinTableSql(joinTable: ExistsJoinTable): string[] {
  return protectSql(
    joinTable.joinTable,
    joinTablePolicyName(joinTable.joinTable),
    existsJoinTablePredicate(joinTable),
    joinTable.adminRole,
  );
}

/** The inverse of {@link protectJoinTableSql} and of {@link protectExistsJoinTableSql}. */
export function unprotectJoinTableSql(joinTable: string): string[] {
  return unprotectSql(joinTable, joinTablePolicyName(joinTable));
}

function sideExistsSql(
  side: JoinTableSide,
  joinTableName: string,
  alias: string,
  currentTenant: string,
): string {
  const parent = quoteIdentifier(alias);
  const link = quoteIdentifier(joinTableName);
  const conditions = [
    ...columnPairs(side).map(
      ({ column, referencedColumn }) =>
        `${parent}.${quoteIdentifier(referencedColumn)} = ${link}.${quoteIdentifier(column)}`,
    ),
    `${parent}.${quoteIdentifier(side.tenantColumn ?? DEFAULT_TENANT_COLUMN)} = ${currentTenant}`,
  ];
  return `EXISTS (SELECT 1 FROM ${quoteTable(side.table)} AS ${parent} WHERE ${conditions.join(' AND ')})`;
}

/** The side's column pairs. @throws RlsConfigurationError if there are none: the link would not depend on the side. */
export function columnPairs(side: JoinTableSide): JoinTableSide['columns'] {
  if (side.columns.length > 0) return side.columns;
  throw new RlsConfigurationError(
    `Side "${side.table}" of a join table has no columns.`,
    'Name its foreign-key columns.',
  );
}

/** An alias that cannot hide the join table from the sub-select, whatever the join table is called. */
function sideAlias(joinTableName: string): string {
  return joinTableName.startsWith('side_') ? 'joined_side' : 'side';
}

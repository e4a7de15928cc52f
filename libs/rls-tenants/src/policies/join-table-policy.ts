import type { TenantTable } from './tenant-policy.js';

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
export interface ExistsJoinTable extends Omit<TenantTable, 'table' | 'tenantColumn'> {
  /** The join table, in TypeORM's notation. */
  joinTable: string;
  /** One or two tenant-scoped sides; a link is visible if every one of them is. */
  sides: readonly JoinTableSide[];
}

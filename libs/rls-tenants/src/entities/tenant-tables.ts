import type { DataSource } from 'typeorm';
import type { JoinTableSide, TenantTable } from '../policies/index.js';

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

/** Every table of the data source's entities that must be protected, join tables included, in a stable order. */
export declare function tenantTablesOf(dataSource: DataSource): TenantScopedTable[];

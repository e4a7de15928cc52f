import type { TenantIdType } from '../context/tenant-id.js';

/** How a data source is isolated. */
export interface IsolationOptions {
  /** The PostgreSQL type of tenant ids: the type of every tenant column. */
  tenantIdType: TenantIdType;
  /** The PostgreSQL custom setting that policies read. Default `'rls.current_tenant'`. */
  tenantSetting?: string;
  /** The NOLOGIN role whose policy sees all rows. Default `'rls_admin'`. */
  adminRole?: string;
  /**
   * What a statement outside any tenant context does when it names a tenant-scoped table: `'throw'` refuses it
   * before any I/O, `'empty'` sends it and lets the policy return no rows. Default `'throw'`.
   */
  onMissingTenant?: 'throw' | 'empty';
  /**
   * Adds `tenant_id = <literal>` to what TypeORM generates, for the planner's sake. Isolation never depends on it.
   * Default `true`.
   */
  autoScope?: boolean;
}

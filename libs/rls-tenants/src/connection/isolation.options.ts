import type { DataSource } from 'typeorm';
import type { TenantIdType } from '../context/tenant-id.js';
import type { SealOptions } from './seal.options.js';

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
  /**
   * Seals the tenant context: PostgreSQL takes a tenant from nobody who does not know a key, whatever SQL they run on
   * the connection. Policies must ask for the seal (`sealTable`), and admin contexts need an `adminDataSource`. Default:
   * the setting alone decides.
   */
  seal?: SealOptions;
  /**
   * Where admin contexts run their statements: an initialised data source of the same database, whose login may become
   * the admin role. The app role then need not be able to, and must not be under a seal. Default: on the connections of
   * the app role, by SET ROLE; under a seal, nowhere.
   */
  adminDataSource?: DataSource;
}

import type { TenantContextOptions } from './context/tenant-context.options.js';
import type { IsolationOptions } from './connection/isolation.options.js';

/** Options of `RlsTenantsModule.forRoot()`. */
export interface RlsTenantsOptions extends TenantContextOptions, Omit<IsolationOptions, 'adminDataSource'> {
  /** Names of the TypeORM data sources to isolate. Default `['default']`. */
  dataSources?: string[];
  /**
   * Name of the TypeORM data source that admin contexts run on: of the same database, with a login that may become the
   * admin role. The app role then need not be able to, and must not be under a `seal`. Default: they run on the app
   * role's connections.
   */
  adminDataSource?: string;
  /**
   * What boot verification does with a finding: refuse to start, log a warning, or not look at all.
   * Default `'error'`.
   */
  verifyOnBoot?: 'error' | 'warn' | 'off';
}

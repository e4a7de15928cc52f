import type { TenantContextOptions } from './context/tenant-context.options.js';
import type { IsolationOptions } from './connection/isolation.options.js';

/** Options of `RlsTenantsModule.forRoot()`. */
export interface RlsTenantsOptions extends TenantContextOptions, IsolationOptions {
  /** Names of the TypeORM data sources to isolate. Default `['default']`. */
  dataSources?: string[];
  /**
   * What boot verification does with a finding: refuse to start, log a warning, or not look at all.
   * Default `'error'`.
   */
  verifyOnBoot?: 'error' | 'warn' | 'off';
}

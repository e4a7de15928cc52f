import { installMetadataCompletion } from './metadata-hook.js';
import { registerTenantScoped, type TenantScopedOptions } from './tenant-registry.js';

/**
 * Marks an entity class whose rows belong to tenants: its table has a tenant column (see `@TenantColumn()`), a policy,
 * and row-level security enabled and forced. Classes that extend it are tenant-scoped too.
 *
 * A data source completes the metadata of its tenant-scoped entities when it is initialized: foreign keys among them
 * become composite with the tenant column, and join tables get a tenant column. It refuses to initialize with an
 * RlsConfigurationError where the declarations contradict each other.
 */
export function TenantScoped(options: TenantScopedOptions = {}): ClassDecorator {
  installMetadataCompletion();
  return (target) => registerTenantScoped(target, { ...options });
}

import { SetMetadata, type CustomDecorator } from '@nestjs/common';
import { TENANT_OPTIONAL } from './handler-scope.js';

/**
 * Lets the handler (or all handlers of the class) run without a tenant. A request that has one is served for it;
 * a request that has none is served for nobody, which sees no tenant's rows. A malformed or refused tenant is still
 * an error.
 */
export function TenantOptional(): CustomDecorator<symbol> {
  return SetMetadata(TENANT_OPTIONAL, true);
}

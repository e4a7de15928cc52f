import { RlsConfigurationError } from '../../errors.js';
import type { TenantResolver } from '../tenant-context.options.js';

/**
 * Takes the tenant from a parameter of the route: `fromPath('tenantId')` for `/tenants/:tenantId/tasks`. The caller
 * chooses it, so `authorize` is mandatory. A route without the parameter has no tenant; an empty one is malformed, and
 * so is a wildcard, which has several values.
 *
 * @throws RlsConfigurationError if `param` is empty.
 */
export function fromPath(param: string): TenantResolver {
  if (param === '') {
    throw new RlsConfigurationError(
      'fromPath() needs the name of a route parameter.',
      "For routes such as /tenants/:tenantId/tasks, use fromPath('tenantId').",
    );
  }
  const resolve: TenantResolver = (request) => {
    const params: object = request.params ?? {};
    // Own properties only: a name such as `__proto__` must not reach up the prototype chain.
    return Object.getOwnPropertyDescriptor(params, param)?.value;
  };
  return Object.assign(resolve, { clientSupplied: true });
}

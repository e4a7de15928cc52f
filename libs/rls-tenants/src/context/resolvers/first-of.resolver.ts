import { RlsConfigurationError } from '../../errors.js';
import type { TenantResolver } from '../tenant-context.options.js';

/**
 * Asks several resolvers in order and takes the first answer; `undefined` and `null` are no answers, everything else
 * is, the malformed included: a bad header does not fall back to the next source. The later resolvers are not asked, so
 * a contradiction between sources goes to the first. One that the caller can choose makes `authorize` mandatory.
 *
 * @throws RlsConfigurationError without a resolver.
 */
export function firstOf(...resolvers: TenantResolver[]): TenantResolver {
  if (resolvers.length === 0) {
    throw new RlsConfigurationError(
      'firstOf() has no resolver to ask.',
      "Give at least one, for example firstOf(fromUser((user) => user.tenantId), fromHeader('x-tenant-id')).",
    );
  }
  const resolve: TenantResolver = async (request) => {
    for (const resolver of resolvers) {
      const resolved = await resolver(request);
      if (resolved !== undefined && resolved !== null) return resolved;
    }
    return undefined;
  };
  return Object.assign(resolve, {
    clientSupplied: resolvers.some((resolver) => resolver.clientSupplied === true),
  });
}

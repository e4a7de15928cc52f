import { InvalidTenantIdError, RlsConfigurationError } from '../../errors.js';
import type { TenantResolver } from '../tenant-context.options.js';
import { readHeader } from './read-header.js';

// RFC 9110: a header name is a token.
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/**
 * Takes the tenant from a request header, whose name may be written in any case. The caller chooses it, so
 * `authorize` is mandatory. A request without the header has no tenant; an empty header is malformed, and so is one
 * that was sent twice: which of two values counts is not for the caller's proxy to decide. A value with a comma is
 * refused for the same reason, since intermediaries may join repeated headers with commas (RFC 9110, 5.3).
 *
 * @throws RlsConfigurationError if `name` is no header name.
 */
export function fromHeader(name: string): TenantResolver {
  const lowerCase = name.toLowerCase();
  if (!TOKEN.test(lowerCase)) {
    throw new RlsConfigurationError(
      `fromHeader(${JSON.stringify(name)}) does not name a header.`,
      "Give the header's name, for example fromHeader('x-tenant-id').",
    );
  }
  const resolve: TenantResolver = (request) => {
    const value = readHeader(request, lowerCase);
    if (value?.includes(',')) {
      throw new InvalidTenantIdError(
        `Header "${lowerCase}" has several values.`,
        'Send the header once, with one tenant id.',
      );
    }
    return value;
  };
  return Object.assign(resolve, { clientSupplied: true });
}

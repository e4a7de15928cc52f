import { InvalidTenantIdError } from '../../errors.js';
import type { TenantRequest } from '../tenant-context.options.js';
import { rawOf } from '../resolve-request.js';

/**
 * The one value of a header, or `undefined` if it was not sent (or a middleware removed it).
 *
 * @param name in lower case.
 * @throws InvalidTenantIdError if it was sent more than once. Node.js joins the values of most repeated headers with
 * commas and drops all but the first of some, such as `host`; only `rawHeaders` tells.
 */
export function readHeader(request: TenantRequest, name: string): string | undefined {
  const headers: Record<string, string | string[] | undefined> = request.headers;
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
  if (value === undefined) return undefined;
  const { rawHeaders = [] } = rawOf(request) as { rawHeaders?: readonly string[] };
  const occurrences = rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === name);
  if (Array.isArray(value) || occurrences.length > 1) {
    throw new InvalidTenantIdError(`Header "${name}" was sent more than once.`, 'Send the header once.');
  }
  return value;
}

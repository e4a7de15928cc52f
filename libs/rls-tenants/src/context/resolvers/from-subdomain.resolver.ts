import { isIP } from 'node:net';
import { InvalidTenantIdError, RlsConfigurationError } from '../../errors.js';
import type { TenantRequest, TenantResolver } from '../tenant-context.options.js';
import { readHeader } from './read-header.js';

/** Options of {@link fromSubdomain}. */
export interface FromSubdomainOptions {
  /** The domain under which tenants have their subdomains: `'example.com'` for `acme.example.com`. */
  baseDomain: string;
  /** Subdomains that belong to no tenant, such as the public site. Default `['www']`. */
  ignore?: readonly string[];
}

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Takes the tenant from the host name: exactly one label in front of the base domain, in lower case, since host names
 * do not know case. The base domain itself, ignored subdomains, deeper subdomains, other domains and IP addresses have
 * no tenant; a label that no host name may have is malformed. The caller chooses the host, so `authorize` is mandatory.
 *
 * The host name is the platform's `request.hostname`, which follows `X-Forwarded-Host` only where the application
 * trusts its proxy; where there is none (Fastify's middleware) it is the `Host` header.
 *
 * @throws RlsConfigurationError if `baseDomain` is no domain name.
 */
export function fromSubdomain(options: FromSubdomainOptions): TenantResolver {
  const baseDomain = normalize(options.baseDomain);
  if (isIP(baseDomain) || !baseDomain.split('.').every((label) => LABEL.test(label))) {
    throw new RlsConfigurationError(
      `fromSubdomain(): baseDomain ${JSON.stringify(options.baseDomain)} is no domain name.`,
      "Give the domain that the tenants' subdomains share, for example { baseDomain: 'example.com' }.",
    );
  }
  const ignored = new Set((options.ignore ?? ['www']).map((label) => label.toLowerCase()));
  const resolve: TenantResolver = (request) => {
    const host = normalize(hostOf(request) ?? '');
    if (isIP(host) || !host.endsWith(`.${baseDomain}`)) return undefined;
    const label = host.slice(0, -baseDomain.length - 1);
    if (ignored.has(label) || label.includes('.')) return undefined;
    if (!LABEL.test(label)) {
      throw new InvalidTenantIdError(
        `The host name has the malformed label ${JSON.stringify(label.slice(0, 63))} in front of "${baseDomain}".`,
        'A subdomain has letters, digits and hyphens.',
      );
    }
    return label;
  };
  return Object.assign(resolve, { clientSupplied: true });
}

function hostOf(request: TenantRequest): string | undefined {
  // Read in any case: it refuses a request with two Host headers, of which the platform would take the first.
  const header = readHeader(request, 'host') ?? readHeader(request, ':authority');
  return typeof request.hostname === 'string' ? request.hostname : header;
}

/** Lower case, without the port and without the dot that ends a fully qualified name. */
function normalize(host: string): string {
  return host
    .toLowerCase()
    .replace(/:[0-9]*$/, '')
    .replace(/\.$/, '');
}

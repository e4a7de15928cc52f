import { RlsTenantsError } from '../errors.js';
import type { Audience, TenantTokens } from './tenant-tokens.js';

/** The key under which a job's data holds its token. */
export const TENANT_TOKEN = '__tenantToken';

/**
 * A copy of a job's data with a token for the current tenant context. A token that the data holds already belongs to
 * another job or another time, and is replaced.
 *
 * @throws RlsTenantsError if the data is neither an object nor left out: there is no place for a token in it.
 * @throws what {@link TenantTokens.sign} throws.
 */
export function signData(tokens: TenantTokens, audience: Audience, data: unknown): object {
  // As JSON has it: what is signed is what will arrive.
  const plain: unknown = JSON.parse(JSON.stringify(data ?? {}) ?? 'null');
  if (!isObject(plain)) {
    throw new RlsTenantsError(
      `The data of ${audience.join(' ')} is no object, so that it cannot hold a tenant token.`,
      'Put the value into an object: { value }.',
    );
  }
  const { [TENANT_TOKEN]: _old, ...unsigned } = plain;
  const token = tokens.sign(audience, unsigned);
  return token === undefined ? unsigned : { ...unsigned, [TENANT_TOKEN]: token };
}

/** A job's data without its token, and the token. */
export function splitData(data: unknown): { data: unknown; token: unknown } {
  if (!isObject(data)) return { data, token: undefined };
  const { [TENANT_TOKEN]: token, ...rest } = data;
  return { data: rest, token };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

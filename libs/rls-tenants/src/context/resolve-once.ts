import { resolveRequest, type Awaitable } from './resolve-request.js';
import type { TenantContextOptions, TenantRequest } from './tenant-context.options.js';

/** By connection or by request: its tenant, or the promise of it while it is being resolved. */
const tenants = new WeakMap<object, Awaitable<string | undefined>>();

/**
 * What {@link resolveRequest} finds, once for each `key`: the client of a WebSocket, or the raw request of a GraphQL
 * operation. Who asks meanwhile waits for the same answer. Only a tenant is remembered: where there was none, or the
 * resolver failed, the next one asks again, since guards may have authenticated the client by then.
 */
export function resolveOnce(
  options: TenantContextOptions,
  key: object,
  request: TenantRequest,
): Awaitable<string | undefined> {
  return tenants.get(key) ?? resolveAgain(options, key, request);
}

/** {@link resolveOnce}, whatever is remembered; from now on that counts, and nothing if it is refused. */
export function resolveAgain(
  options: TenantContextOptions,
  key: object,
  request: TenantRequest,
): Awaitable<string | undefined> {
  tenants.delete(key);
  const resolved = resolveRequest(options, request);
  if (!(resolved instanceof Promise)) {
    if (resolved !== undefined) tenants.set(key, resolved);
    return resolved;
  }
  const settle = (tenantId?: string): void => {
    // Somebody may have asked again meanwhile: the later question counts.
    if (tenants.get(key) !== pending) return;
    if (tenantId === undefined) tenants.delete(key);
    else tenants.set(key, tenantId);
  };
  const pending: Promise<string | undefined> = resolved.then(
    (tenantId) => {
      settle(tenantId);
      return tenantId;
    },
    (error: unknown) => {
      settle();
      throw error;
    },
  );
  tenants.set(key, pending);
  return pending;
}

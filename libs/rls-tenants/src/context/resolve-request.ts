import { RlsConfigurationError, TenantAccessDeniedError } from '../errors.js';
import type { TenantContextOptions, TenantRequest } from './tenant-context.options.js';
import { parseTenantId } from './tenant-id.js';
import { withoutTenant } from './tenant-context.js';

// Keyed by the platform's raw request, which the middleware and the interceptor share on Express and Fastify. The
// current context would not do as a marker: Node.js may start a pipelined request inside the one before it.
const resolvedByMiddleware = new WeakMap<object, string>();

/**
 * Resolves, validates and authorizes the tenant of a request. The resolver and `authorize` run for nobody.
 *
 * @returns the tenant id in PostgreSQL's text form, or `undefined` if the request has no tenant; a promise of it only
 * where the resolver or `authorize` gave one: promises are what a request would pay most for.
 * @throws InvalidTenantIdError if what was resolved is no tenant id of `tenantIdType`.
 * @throws TenantAccessDeniedError if `authorize` returns anything but `true`.
 * @throws whatever the resolver or `authorize` throws.
 */
export function resolveRequest(
  options: TenantContextOptions,
  request: TenantRequest,
): Awaitable<string | undefined> {
  return withoutTenant(() =>
    whenSettled(options.resolveTenant(request), (resolved) => {
      if (resolved === undefined || resolved === null) return undefined;
      const tenantId = parseTenantId(options.tenantIdType, resolved);
      if (!options.authorize) return tenantId;
      return authorizedTenant(options.authorize, tenantId, request);
    }),
  );
}

/**
 * The tenant, if `authorize` confirms it for the request.
 *
 * @throws TenantAccessDeniedError if `authorize` returns anything but `true`.
 * @throws whatever `authorize` throws.
 */
export function authorizedTenant(
  authorize: NonNullable<TenantContextOptions['authorize']>,
  tenantId: string,
  request: TenantRequest,
): Awaitable<string> {
  return whenSettled(authorize(tenantId, request), (authorized: unknown) => {
    // A truthy answer of untyped code, such as a row, is not yet a yes.
    if (authorized === true) return tenantId;
    throw new TenantAccessDeniedError(
      `\`authorize\` refused the caller tenant ${JSON.stringify(tenantId)}.`,
      '`authorize` must return true for each tenant that the caller may act for.',
    );
  });
}

/** A value, or the promise of one. */
export type Awaitable<T> = T | Promise<T>;

/** What `await` does, without a promise where there is none to wait for. */
export function whenSettled<T, R>(value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return isThenable(value) ? Promise.resolve(value).then(next) : next(value);
}

function isThenable<T>(value: Awaitable<T>): value is Promise<T> {
  return typeof (value as Promise<T> | null | undefined)?.then === 'function';
}

/** Remembers what the middleware resolved, so that the interceptor does not resolve it again. */
export function rememberTenant(request: TenantRequest, tenantId: string): void {
  resolvedByMiddleware.set(rawOf(request), tenantId);
}

/** What the middleware resolved for this request, if it resolved a tenant. */
export function rememberedTenant(request: TenantRequest): string | undefined {
  return resolvedByMiddleware.get(rawOf(request));
}

/** Node.js' own request or response: Express hands it out as it is, Fastify wraps it. */
export function rawOf(requestOrResponse: TenantRequest): object {
  return requestOrResponse.raw ?? requestOrResponse;
}

/**
 * Refuses a configuration in which any caller could pick any tenant.
 *
 * @throws RlsConfigurationError if the caller supplies the tenant id (`fromHeader`, `fromSubdomain`, `fromPath`, or a
 * `firstOf` with one of them) and there is no `authorize`.
 */
export function assertResolverIsAuthorized(
  options: Pick<TenantContextOptions, 'resolveTenant' | 'authorize'>,
): void {
  if (!options.resolveTenant.clientSupplied || typeof options.authorize === 'function') return;
  throw new RlsConfigurationError(
    '`resolveTenant` takes the tenant id from the caller (a header, the host name or the path), and nothing checks it.',
    'Add `authorize: (tenantId, request) => boolean` that confirms the caller belongs to the tenant, or take the id from a verified user with fromUser().',
  );
}

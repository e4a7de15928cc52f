import { adminContext, tenantContext } from '../context/tenant-context.js';
import type { TenantId } from '../context/tenant-id.js';

const REASON = 'test';

/**
 * Runs a part of a test for one tenant: {@link tenantContext} that also waits for what `fn` returns inside of the
 * context, so that a thenable runs there and not where the test awaits it.
 *
 * @throws InvalidTenantIdError if `tenantId` is no tenant id of any type, before `fn` runs.
 */
export function asTenant<T>(tenantId: TenantId, fn: () => T | PromiseLike<T>): Promise<T> {
  return tenantContext(tenantId, async () => await fn());
}

/**
 * Runs a part of a test as admin: {@link adminContext} with a reason that need not be given, which waits for what `fn`
 * returns inside of the context. For seeds, and for controls that prove that hidden rows exist.
 */
export function asAdmin<T>(fn: () => T | PromiseLike<T>): Promise<T>;
export function asAdmin<T>(reason: string, fn: () => T | PromiseLike<T>): Promise<T>;
export function asAdmin<T>(
  ...args: [fn: () => T | PromiseLike<T>] | [reason: string, fn: () => T | PromiseLike<T>]
): Promise<T> {
  const [reason, fn] = args.length === 1 ? [REASON, args[0]] : args;
  return adminContext(reason, async () => await fn());
}

import { withoutTenant } from '../context/tenant-context.js';
import type { TenantId } from '../context/tenant-id.js';
import { NoTenantContextError, RlsViolationError } from '../errors.js';
import { asTenant } from './contexts.js';
import { IsolationAssertionError } from './isolation-assertion.error.js';

/**
 * Passes only if `fn`, which runs statements on an isolated data source, does nothing outside of any tenant context, and
 * works inside of one. It runs twice: for nobody, where it must be refused (NoTenantContextError, or RlsViolationError
 * by the database itself) or return no rows (`[]`, `null`, `0`, `affected: 0`), which is what
 * `onMissingTenant: 'empty'` does; then for `tenantId`, where it must succeed, and return rows if it was not refused
 * before. What the second run writes stays.
 *
 * @param tenant `tenantId`: a tenant for whom `fn` works.
 * @throws IsolationAssertionError if it is not blocked, or if nothing was proven because it fails for the tenant as well.
 */
export async function expectBlockedWithoutContext(
  fn: () => unknown,
  tenant: { tenantId: TenantId },
): Promise<void> {
  const { tenantId } = tenant;
  const outside = await outcomeOf(() => withoutTenant(async () => await fn()));
  if (outside.error && !isRefusal(outside.error)) {
    throw new IsolationAssertionError(
      `Nothing was proven: outside of any tenant context the function failed for another reason: ${messageOf(outside.error)}`,
      'Let it fail for nothing but the missing tenant context.',
      { cause: outside.error },
    );
  }
  if (!outside.error && !isEmpty(outside.value)) {
    throw new IsolationAssertionError(
      'The function works outside of any tenant context.',
      'Let its statements go through an isolated data source and name a tenant-scoped table; an adminContext() inside of it reaches every tenant.',
    );
  }
  const inside = await outcomeOf(() => asTenant(tenantId, fn));
  if (inside.error) {
    throw new IsolationAssertionError(
      `Nothing was proven: the function fails in the context of tenant ${JSON.stringify(String(tenantId))} as well: ${messageOf(inside.error)}`,
      'Give a tenant for whom it works.',
      { cause: inside.error },
    );
  }
  if (!outside.error && isEmpty(inside.value)) {
    throw new IsolationAssertionError(
      'Nothing was proven: the function is not refused outside of any tenant context, and returns no rows inside of one either.',
      'Seed rows of the tenant and return them (or the number of rows affected), so that their absence shows.',
    );
  }
}

type Outcome = { value?: unknown; error?: unknown };

async function outcomeOf(fn: () => Promise<unknown>): Promise<Outcome> {
  return fn().then(
    (value) => ({ value }),
    (error: unknown) => ({ error: error ?? new Error('rejected without a reason') }),
  );
}

function isRefusal(error: unknown): boolean {
  return error instanceof NoTenantContextError || error instanceof RlsViolationError;
}

/** What no rows look like in TypeORM: of find, findOne, count, exists, raw writes and query builders. */
function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === 0 || value === false) return true;
  // findAndCount gives [[], 0]; a raw UPDATE gives [[], 0].
  if (Array.isArray(value))
    return value.every((part) => (Array.isArray(part) ? part.length === 0 : part === 0));
  return (value as { affected?: unknown }).affected === 0;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

import {
  adminContext,
  tenantContext,
  withoutTenant,
  type TenantContextState,
} from '../context/tenant-context.js';
import { TenantAccessDeniedError } from '../errors.js';

/** Confirms again, when the work begins, that whoever sent it may still act for the tenant. */
export type Authorize<Work> = (tenantId: string, work: Work) => boolean | Promise<boolean>;

/**
 * Asks `authorize` about a tenant that a token named. It runs for nobody. The admin is not asked about: `allowAdmin`
 * decided that.
 *
 * @throws TenantAccessDeniedError if it returns anything but `true`.
 * @throws whatever it throws.
 */
export async function authorizeState<Work>(
  state: TenantContextState,
  authorize: Authorize<Work> | undefined,
  work: Work,
): Promise<void> {
  if (state.kind !== 'tenant' || !authorize) return;
  const authorized: unknown = await withoutTenant(() => authorize(state.tenantId, work));
  // A truthy answer of untyped code, such as a row, is not yet a yes.
  if (authorized === true) return;
  throw new TenantAccessDeniedError(
    `\`authorize\` refused the sender tenant ${JSON.stringify(state.tenantId)}.`,
    '`authorize` must return true for each tenant that the sender may act for when the work begins.',
  );
}

/** Runs `fn` in the context that a token spoke for. */
export function runAs<T>(state: TenantContextState, fn: () => T): T {
  switch (state.kind) {
    case 'tenant':
      return tenantContext(state.tenantId, fn);
    case 'admin':
      return adminContext(state.reason, fn);
    case 'nobody':
      return withoutTenant(fn);
  }
}

import { ClsServiceManager } from 'nestjs-cls';
import { NoTenantContextError, RlsTenantsError } from '../errors.js';
import { callerOf } from './caller.js';
import { isAdminContextObserved, publishAdminContext } from './context-events.js';
import { checkTenantId, type TenantId } from './tenant-id.js';

/**
 * Who the current asynchronous call chain acts for. Three tagged states: the absence of a tenant never means admin.
 * States are immutable, so their identity can be a cache key.
 */
export type TenantContextState =
  | {
      readonly kind: 'tenant';
      readonly tenantId: string;
      /** In a set context only: every tenant whose rows may be read, `tenantId` included. */
      readonly readableTenantIds?: readonly string[];
    }
  | { readonly kind: 'admin'; readonly reason: string }
  | { readonly kind: 'nobody' };

const STATE = Symbol('nestjs-rls-tenants: tenant context');
const NOBODY: TenantContextState = Object.freeze({ kind: 'nobody' });

/** The state of the current call chain; nobody where none was ever entered. */
export function currentTenantContext(): TenantContextState {
  return ClsServiceManager.getClsService().get(STATE) ?? NOBODY;
}

/** True inside of any context that was entered, nobody's included. */
export function isContextEntered(): boolean {
  return ClsServiceManager.getClsService().get(STATE) !== undefined;
}

/**
 * Runs `fn` for one tenant and returns what it returns. The context ends with `fn` (for a promise: when it settles),
 * whether it returns or throws; work started inside and awaited later keeps it. Contexts nest.
 *
 * Counterpart of django-rls-tenants' `tenant_context`; what PostgreSQL sees is the tenant setting.
 *
 * @throws InvalidTenantIdError if `tenantId` is no tenant id of any type, before `fn` runs. A data source whose
 * `tenantIdType` it does not fit refuses the first statement, before any I/O.
 */
export function tenantContext<T>(tenantId: TenantId, fn: () => T): T {
  return runIn(Object.freeze({ kind: 'tenant', tenantId: checkTenantId(tenantId) }), fn);
}

/**
 * Runs `fn` as admin: its statements see every tenant's rows, through the admin role's own policy.
 *
 * @param reason why, in words that an auditor understands.
 * @throws RlsTenantsError if the reason is empty.
 */
export function adminContext<T>(reason: string, fn: () => T): T {
  return enterAdmin(reason, callerOfAdminContext, fn);
}

function callerOfAdminContext(): string | undefined {
  return callerOf(adminContext);
}

/** {@link adminContext} for a caller whose name says more than the stack does: a handler is called by Nest. */
export function enterAdmin<T>(reason: string, nameCaller: () => string | undefined, fn: () => T): T {
  if (typeof reason !== 'string' || reason.trim() === '') {
    throw new RlsTenantsError(
      'An admin context needs a reason.',
      "Say why, for example adminContext('nightly invoice run', …).",
    );
  }
  const state = Object.freeze({ kind: 'admin', reason } as const);
  if (!isAdminContextObserved()) return runIn(state, fn);
  const from = currentTenantContext();
  // The library itself enters it again, for example where two interceptors do.
  if (from.kind === 'admin' && from.reason === reason) return runIn(state, fn);
  return publishAdminContext({ reason, caller: nameCaller(), from }, () => runIn(state, fn));
}

/** Runs `fn` for nobody: statements inside see no tenant's rows, whatever context surrounds them. */
export function withoutTenant<T>(fn: () => T): T {
  return runIn(NOBODY, fn);
}

/** The current tenant's id. @throws NoTenantContextError as admin or for nobody. */
export function requireTenantId(): string {
  const state = currentTenantContext();
  if (state.kind === 'tenant') return state.tenantId;
  throw new NoTenantContextError(
    state.kind === 'admin' ? 'The admin context has no tenant id.' : 'There is no tenant in context.',
    'Run this inside tenantContext(tenantId, fn), TenantContext.run(tenantId, fn) or a request whose tenant was resolved.',
  );
}

/** Runs `fn` in a state that already exists, for example one captured earlier in another call chain. */
export function runIn<T>(state: TenantContextState, fn: () => T): T {
  const cls = ClsServiceManager.getClsService();
  // A copy of the caller's store: its values stay readable inside, and the change stays inside.
  return cls.runWith({ ...cls.get(), [STATE]: state }, fn);
}

/**
 * Runs `fn` in the current state until `settle` is called with another; from then on everything that `fn` started is in
 * that one, what is running included. For code that starts before it is known for whom.
 */
export function runUntilSettled<T>(fn: (settle: (state: TenantContextState) => void) => T): T {
  const cls = ClsServiceManager.getClsService();
  const store: Record<symbol, unknown> = { ...cls.get() };
  return cls.runWith(store, () => fn((state) => void (store[STATE] = state)));
}

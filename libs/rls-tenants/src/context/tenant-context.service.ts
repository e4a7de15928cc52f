import { Inject, Injectable } from '@nestjs/common';
import { RLS_TENANTS_OPTIONS, type TenantContextOptions } from './tenant-context.options.js';
import { parseTenantId, type TenantId } from './tenant-id.js';
import {
  adminContext,
  currentTenantContext,
  requireTenantId,
  tenantContext,
  withoutTenant,
  type TenantContextState,
} from './tenant-context.js';

/**
 * Reads and changes who the current call chain acts for. A singleton: the state lives in the asynchronous context,
 * not in this object, so repositories and services that use it stay singletons too.
 */
@Injectable()
export class TenantContext {
  constructor(@Inject(RLS_TENANTS_OPTIONS) private readonly options: TenantContextOptions) {}

  /**
   * Runs `fn` for one tenant; see {@link tenantContext}.
   *
   * @throws InvalidTenantIdError if `tenantId` is not of the configured `tenantIdType`, before `fn` runs.
   */
  run<T>(tenantId: TenantId, fn: () => T): T {
    return tenantContext(parseTenantId(this.options.tenantIdType, tenantId), fn);
  }

  /** Runs `fn` as admin, for a stated reason; see {@link adminContext}. */
  runAsAdmin<T>(reason: string, fn: () => T): T {
    return adminContext(reason, fn);
  }

  /** Runs `fn` for nobody, whatever context surrounds it; see {@link withoutTenant}. */
  runWithoutTenant<T>(fn: () => T): T {
    return withoutTenant(fn);
  }

  /** The state of the current call chain: a tenant, the admin (with the reason) or nobody. */
  current(): TenantContextState {
    return currentTenantContext();
  }

  /** The current tenant's id in PostgreSQL's text form; `undefined` as admin and for nobody. */
  get tenantId(): string | undefined {
    const state = currentTenantContext();
    return state.kind === 'tenant' ? state.tenantId : undefined;
  }

  /** The current tenant's id. @throws NoTenantContextError as admin and for nobody. */
  requireTenantId(): string {
    return requireTenantId();
  }
}

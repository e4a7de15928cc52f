import { Inject, Injectable } from '@nestjs/common';
import { RlsConfigurationError } from '../errors.js';
import { logError } from './client-errors.js';
import { resolveAgain } from './resolve-once.js';
import { switchTenant } from './switch-tenant.js';
import {
  RLS_TENANTS_OPTIONS,
  type TenantContextOptions,
  type TenantRequest,
} from './tenant-context.options.js';
import { parseTenantId, type TenantId } from './tenant-id.js';
import {
  adminContext,
  currentTenantContext,
  requireTenantId,
  tenantContext,
  withoutTenant,
  type TenantContextState,
} from './tenant-context.js';
import { tenantSetContext } from './tenant-set.js';
import { rememberRequest } from './ws-client.js';

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

  /**
   * Runs `fn` for another tenant of the same caller: `authorize` is asked first, for nobody, and whatever it answers is
   * logged. The context that surrounds the call goes on afterwards; `fn` sees nothing of its tenant.
   *
   * ```ts
   * @Get('tenants/:tenantId/summary')
   * summary(@Param('tenantId') tenantId: string, @Req() request: Request) {
   *   return this.tenants.switchTo(tenantId, request, () => this.summaries.ofCurrentTenant());
   * }
   * ```
   *
   * {@link run} asks nobody: use it where the tenant comes from your own code and not from the caller.
   *
   * @param request what `authorize` gets: the request of the handler.
   * @returns what `fn` returns.
   * @throws InvalidTenantIdError if `tenantId` is not of the configured `tenantIdType`.
   * @throws TenantAccessDeniedError if `authorize` returns anything but `true`.
   * @throws RlsConfigurationError if there is no `authorize`, or no request.
   * @throws whatever `authorize` throws. In all of these cases `fn` does not run.
   */
  switchTo<T>(tenantId: TenantId, request: TenantRequest, fn: () => T | Promise<T>): Promise<T> {
    return switchTenant(this.options, tenantId, request, fn);
  }

  /**
   * Runs `fn` for a home tenant that reads the rows of several; see {@link tenantSetContext}.
   *
   * @throws InvalidTenantIdError if one of the ids is not of the configured `tenantIdType`, before `fn` runs.
   */
  runForSet<T>(homeTenantId: TenantId, tenantIds: readonly TenantId[], fn: () => T): T {
    const parse = (tenantId: TenantId) => parseTenantId(this.options.tenantIdType, tenantId);
    const set = Array.isArray(tenantIds) ? Array.from(tenantIds, parse) : tenantIds;
    return tenantSetContext(parse(homeTenantId), set, fn);
  }

  /** Runs `fn` as admin, for a stated reason; see {@link adminContext}. */
  runAsAdmin<T>(reason: string, fn: () => T): T {
    return adminContext(reason, fn);
  }

  /** Runs `fn` for nobody, whatever context surrounds it; see {@link withoutTenant}. */
  runWithoutTenant<T>(fn: () => T): T {
    return withoutTenant(fn);
  }

  /**
   * Resolves and authorizes the tenant of a WebSocket client, and remembers it for the client's messages; call it again
   * to ask again, and from then on the later answer counts. Messages that arrive meanwhile wait for it.
   *
   * Clients of `ws` need it, because Nest shows the request of the handshake to `handleConnection` only; for socket.io
   * it is what refuses a client when it connects, and not just its messages. For the operations of a `graphql-ws`
   * connection both parameters are `extra.request`.
   *
   * ```ts
   * async handleConnection(client: WebSocket, request: IncomingMessage) {
   *   if (!(await this.tenants.resolveClient(client, request))) client.close(1008);
   * }
   * ```
   *
   * @param request what `resolveTenant` and `authorize` get. Default: the request that socket.io keeps.
   * @returns the tenant id, or `undefined` if the client has none, was refused one, or could not be asked for it: that
   * is logged, not thrown, because an error that `handleConnection` throws ends the process. Its messages ask again.
   * @throws RlsConfigurationError if there is no request.
   */
  async resolveClient(
    client: object,
    request: TenantRequest = (client as { request?: TenantRequest }).request,
  ): Promise<string | undefined> {
    if (typeof request !== 'object' || request === null) {
      throw new RlsConfigurationError(
        'resolveClient() got no request to resolve a tenant from.',
        'Pass on the second argument of `handleConnection(client, request)`.',
      );
    }
    rememberRequest(client, request);
    try {
      return await resolveAgain(this.options, client, request);
    } catch (error) {
      logError(error);
      return undefined;
    }
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

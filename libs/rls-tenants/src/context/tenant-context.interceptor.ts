import {
  Inject,
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Observable } from 'rxjs';
import { NoTenantContextError } from '../errors.js';
import { bindListeners } from './bind-listeners.js';
import { toGraphqlError } from './client-errors.js';
import { fieldCall, graphqlRequest, rememberState, stateAbove, type FieldCall } from './graphql/operation.js';
import { carryThroughFields } from './graphql/schema.js';
import { handlerName, handlerScope, type HandlerScope } from './handler-scope.js';
import { toHttpError } from './http-errors.js';
import { keepContext, keepHandlerContext } from './keep-context.js';
import { resolveOnce } from './resolve-once.js';
import { rawOf, rememberedTenant, resolveRequest, whenSettled, type Awaitable } from './resolve-request.js';
import {
  RLS_TENANTS_OPTIONS,
  type TenantContextOptions,
  type TenantRequest,
} from './tenant-context.options.js';
import { currentTenantContext, enterAdmin, runIn, tenantContext, withoutTenant } from './tenant-context.js';
import { requestOfClient } from './ws-client.js';

/**
 * Runs each handler for the tenant of its request: that of an HTTP request until the end of the response (promises,
 * Observables, async generators, server-sent events, `StreamableFile` and `@Res()` streams included), that of a GraphQL
 * operation with all fields below it, that of a WebSocket message.
 *
 * - `@AdminScoped(reason)` runs the handler as admin and asks for no tenant.
 * - A request without a tenant is refused before the handler runs, unless the handler is `@TenantOptional()` or
 *   `onMissingTenant` is `'empty'`: then it runs for nobody.
 * - A tenant that {@link TenantContextMiddleware} resolved is used as it is. Where the middleware found none, the
 *   resolver is asked again: by now guards have set the user, and the route's parameters are known.
 * - InvalidTenantIdError becomes 400, TenantAccessDeniedError and NoTenantContextError become 403, wherever below
 *   this interceptor they come from; everything else passes unchanged.
 *
 * GraphQL: the request is `req` of the GraphQL context, and its tenant is resolved once. Field resolvers, and `filter`
 * and `resolve` of subscriptions, run for whom the nearest query, mutation or subscription above them runs, whatever
 * `fieldResolverEnhancers` says. Errors of the library reach the client as `extensions.code` without any detail.
 *
 * WebSockets: the tenant of a client is resolved once, from the handshake of socket.io or from what
 * {@link TenantContext.resolveClient} was given.
 *
 * In microservices there is no request to resolve: the handler runs in whatever context surrounds it, which is nobody
 * unless somebody entered one; `@AdminScoped` holds there too.
 *
 * Nest sends the headers of an `@Sse()` response one turn of the event loop after the interceptors started. A refusal
 * that takes longer (an `authorize` that does I/O) reaches the client as an `error` event; the handler does not
 * run either way. Use the middleware where such a refusal must be a status code.
 */
@Injectable()
export class TenantContextInterceptor implements NestInterceptor {
  constructor(
    @Inject(RLS_TENANTS_OPTIONS) private readonly options: TenantContextOptions,
    @Inject(Reflector) private readonly reflector: Reflector,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Awaitable<Observable<unknown>> {
    const scope = handlerScope(this.reflector, context);
    const type = context.getType<string>();
    if (type === 'http') return this.interceptHttp(scope, context, next);
    if (type === 'graphql') return this.interceptGraphql(scope, context, next);
    if (type === 'ws') return this.interceptMessage(scope, context, next);
    if (scope.kind === 'admin') return runAsAdmin(scope, context, () => keepContext(next.handle()));
    return next.handle();
  }

  private interceptHttp(
    scope: HandlerScope,
    context: ExecutionContext,
    next: CallHandler,
  ): Awaitable<Observable<unknown>> {
    const http = context.switchToHttp();
    const request: TenantRequest = http.getRequest();
    const handle = () => {
      bindListeners(rawOf(request));
      bindListeners(rawOf(http.getResponse()));
      return keepHandlerContext(next.handle(), toHttpError);
    };
    if (scope.kind === 'admin') return runAsAdmin(scope, context, handle);
    try {
      const tenantId = rememberedTenant(request) ?? resolveRequest(this.options, request);
      const entered = whenSettled(tenantId, (resolved) => this.run(scope, resolved, handle));
      return entered instanceof Promise ? entered.catch(throwHttpError) : entered;
    } catch (error) {
      return throwHttpError(error);
    }
  }

  private interceptGraphql(
    scope: HandlerScope,
    context: ExecutionContext,
    next: CallHandler,
  ): Awaitable<Observable<unknown>> {
    const call = fieldCall(context);
    const handle = () => {
      // References of several types share a path: what one of them is for must not count for the others' fields.
      if (!call.isReference) rememberState(call, currentTenantContext());
      return keepHandlerContext(next.handle(), toGraphqlError);
    };
    try {
      carryThroughFields(call.info.schema, false);
      const entered = this.enterOperation(scope, context, call, handle);
      return entered instanceof Promise ? entered.catch(throwGraphqlError) : entered;
    } catch (error) {
      return throwGraphqlError(error);
    }
  }

  private enterOperation<T>(
    scope: HandlerScope,
    context: ExecutionContext,
    call: FieldCall,
    handle: () => T,
  ): Awaitable<T> {
    if (scope.kind === 'admin') return runAsAdmin(scope, context, handle);
    const above = call.info.path.prev && stateAbove(call);
    if (above) return runIn(above, handle);
    const request = graphqlRequest(call.contextValue);
    if (request !== undefined) {
      const tenantId = rememberedTenant(request) ?? resolveOnce(this.options, rawOf(request), request);
      return whenSettled(tenantId, (resolved) => this.run(scope, resolved, handle));
    }
    // Code that executes a schema by itself, in a context that it entered.
    if (currentTenantContext().kind !== 'nobody') return handle();
    if (!this.needsTenant(scope)) return this.run(scope, undefined, handle);
    throw new NoTenantContextError(
      'The GraphQL context has no request to resolve a tenant from.',
      'Let `context` of GraphQLModule return the request as `req`, or enter a tenant context around the execution.',
    );
  }

  private interceptMessage(
    scope: HandlerScope,
    context: ExecutionContext,
    next: CallHandler,
  ): Awaitable<Observable<unknown>> {
    const handle = () => keepContext(next.handle());
    if (scope.kind === 'admin') return runAsAdmin(scope, context, handle);
    const client = context.switchToWs().getClient<object>();
    const request = requestOfClient(client);
    if (request !== undefined) {
      const tenantId = resolveOnce(this.options, client, request);
      return whenSettled(tenantId, (resolved) => this.run(scope, resolved, handle));
    }
    if (!this.needsTenant(scope)) return this.run(scope, undefined, handle);
    throw new NoTenantContextError(
      'The WebSocket client has no request to resolve a tenant from.',
      'Call TenantContext.resolveClient(client, request) in `handleConnection(client, request)` of the gateway.',
    );
  }

  private needsTenant(scope: HandlerScope): boolean {
    return scope.kind === 'tenant' && this.options.onMissingTenant !== 'empty';
  }

  private run<T>(scope: HandlerScope, tenantId: string | undefined, fn: () => T): T {
    if (tenantId !== undefined) return tenantContext(tenantId, fn);
    if (scope.kind === 'optional' || this.options.onMissingTenant === 'empty') return withoutTenant(fn);
    throw new NoTenantContextError(
      'The request has no tenant and its handler needs one.',
      'Check that `resolveTenant` finds a tenant in the request, or mark the handler @TenantOptional() or @AdminScoped(reason).',
    );
  }
}

function runAsAdmin<T>(
  { reason }: Extract<HandlerScope, { kind: 'admin' }>,
  context: ExecutionContext,
  handle: () => T,
): T {
  return enterAdmin(reason, () => handlerName(context), handle);
}

function throwHttpError(error: unknown): never {
  throw toHttpError(error);
}

function throwGraphqlError(error: unknown): never {
  throw toGraphqlError(error);
}

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
import { handlerScope, type HandlerScope } from './handler-scope.js';
import { toHttpError } from './http-errors.js';
import { keepContext, keepHandlerContext } from './keep-context.js';
import { rawOf, rememberedTenant, resolveRequest, whenSettled, type Awaitable } from './resolve-request.js';
import {
  RLS_TENANTS_OPTIONS,
  type TenantContextOptions,
  type TenantRequest,
} from './tenant-context.options.js';
import { adminContext, tenantContext, withoutTenant } from './tenant-context.js';

/**
 * Runs each HTTP handler for the tenant of its request, until the end of the response: promises, Observables, async
 * generators, server-sent events, `StreamableFile` and `@Res()` streams included.
 *
 * - `@AdminScoped(reason)` runs the handler as admin and asks for no tenant.
 * - A request without a tenant is refused before the handler runs, unless the handler is `@TenantOptional()` or
 *   `onMissingTenant` is `'empty'`: then it runs for nobody.
 * - A tenant that {@link TenantContextMiddleware} resolved is used as it is. Where the middleware found none, the
 *   resolver is asked again: by now guards have set the user, and the route's parameters are known.
 * - InvalidTenantIdError becomes 400, TenantAccessDeniedError and NoTenantContextError become 403, wherever below
 *   this interceptor they come from; everything else passes unchanged.
 *
 * Outside HTTP (microservices, WebSockets, GraphQL) there is no request to resolve: the handler runs in whatever
 * context surrounds it, which is nobody unless somebody entered one; `@AdminScoped` holds there too.
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
    if (context.getType() === 'http') return this.interceptHttp(scope, context, next);
    if (scope.kind === 'admin') return adminContext(scope.reason, () => keepContext(next.handle()));
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
    if (scope.kind === 'admin') return adminContext(scope.reason, handle);
    try {
      const tenantId = rememberedTenant(request) ?? resolveRequest(this.options, request);
      const entered = whenSettled(tenantId, (resolved) => this.run(scope, resolved, handle));
      return entered instanceof Promise ? entered.catch(throwHttpError) : entered;
    } catch (error) {
      return throwHttpError(error);
    }
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

function throwHttpError(error: unknown): never {
  throw toHttpError(error);
}

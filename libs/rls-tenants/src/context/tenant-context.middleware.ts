import { Inject, Injectable, type NestMiddleware } from '@nestjs/common';
import { bindListeners } from './bind-listeners.js';
import { toHttpError } from './http-errors.js';
import { rememberedTenant, rememberTenant, resolveRequest } from './resolve-request.js';
import {
  RLS_TENANTS_OPTIONS,
  type TenantContextOptions,
  type TenantRequest,
} from './tenant-context.options.js';
import { tenantContext, withoutTenant } from './tenant-context.js';

/**
 * Enters the request's tenant context before guards, pipes and exception filters run, for those that need it there.
 * Apply it after the middleware that authenticates:
 *
 * ```ts
 * configure(consumer: MiddlewareConsumer) { consumer.apply(TenantContextMiddleware).forRoutes('*path'); }
 * ```
 *
 * The tenant is resolved, validated and authorized as by {@link TenantContextInterceptor}, once a request; the same
 * errors become the same answers. The handler is not known yet, so a request without a tenant goes on for nobody,
 * and the interceptor refuses it if its handler needs one. On Fastify the resolver gets Node.js' raw request here,
 * which has headers but neither `params` nor the decorations of hooks.
 */
@Injectable()
export class TenantContextMiddleware implements NestMiddleware {
  constructor(@Inject(RLS_TENANTS_OPTIONS) private readonly options: TenantContextOptions) {}

  async use(request: TenantRequest, response: unknown, next: () => void): Promise<void> {
    const tenantId = rememberedTenant(request) ?? (await this.resolve(request));
    const proceed = () => {
      bindListeners(request);
      bindListeners(response);
      next();
    };
    if (tenantId === undefined) return withoutTenant(proceed);
    rememberTenant(request, tenantId);
    tenantContext(tenantId, proceed);
  }

  private async resolve(request: TenantRequest): Promise<string | undefined> {
    try {
      return await resolveRequest(this.options, request);
    } catch (error) {
      throw toHttpError(error);
    }
  }
}

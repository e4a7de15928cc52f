import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { handlerScope } from './handler-scope.js';
import { currentTenantContext, requireTenantId } from './tenant-context.js';

/**
 * The id of the tenant that the handler runs for, as a string in PostgreSQL's text form.
 *
 * In a `@TenantOptional()` handler it is `undefined` where the request has no tenant. Everywhere else a missing
 * tenant is a NoTenantContextError, which `TenantContextInterceptor` turns into 403; so is the admin context,
 * which has no tenant id.
 */
export const CurrentTenant: () => ParameterDecorator = createParamDecorator(
  (_data: unknown, context: ExecutionContext): string | undefined => {
    const isOptional = handlerScope(new Reflector(), context).kind === 'optional';
    if (isOptional && currentTenantContext().kind === 'nobody') return undefined;
    return requireTenantId();
  },
);

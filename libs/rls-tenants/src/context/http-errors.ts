import { BadRequestException, ForbiddenException } from '@nestjs/common';
import { InvalidTenantIdError, NoTenantContextError, TenantAccessDeniedError } from '../errors.js';

/**
 * What a client may learn of an error: 400 for an InvalidTenantIdError, 403 for a TenantAccessDeniedError or a
 * NoTenantContextError, with the library's error as `cause` for logs and exception filters. The body neither names
 * the tenant id nor says why it was refused. Every other error is returned as it is.
 */
export function toHttpError(error: unknown): unknown {
  // Early versions of NestJS 11 leave the description out of the body where options come without one.
  if (error instanceof InvalidTenantIdError) {
    return new BadRequestException('Invalid tenant', { cause: error, description: 'Bad Request' });
  }
  const options = { cause: error, description: 'Forbidden' };
  if (error instanceof TenantAccessDeniedError)
    return new ForbiddenException('Tenant access denied', options);
  if (error instanceof NoTenantContextError) return new ForbiddenException('No tenant', options);
  return error;
}

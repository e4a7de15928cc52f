import {
  ForbiddenException,
  HttpException,
  HttpStatus,
  InternalServerErrorException,
  Logger,
  UnauthorizedException,
} from '@nestjs/common';
import {
  InvalidTenantIdError,
  InvalidTenantTokenError,
  NoTenantContextError,
  RlsTenantsError,
  RlsViolationError,
  TenantAccessDeniedError,
} from '../errors.js';
import { toHttpError } from './http-errors.js';

const logger = new Logger('RlsTenants');

const CALLERS_FAULT = [
  InvalidTenantIdError,
  InvalidTenantTokenError,
  TenantAccessDeniedError,
  NoTenantContextError,
];

const CODES: Record<number, string> = {
  [HttpStatus.BAD_REQUEST]: 'BAD_REQUEST',
  [HttpStatus.UNAUTHORIZED]: 'UNAUTHENTICATED',
  [HttpStatus.FORBIDDEN]: 'FORBIDDEN',
};

/**
 * What a client may learn of one of this library's errors, whatever it is reached by: 400 `Invalid tenant`, 401
 * `Unauthorized` (an InvalidTenantTokenError), 403 `Tenant access denied`, `No tenant` or `Access denied` (a
 * RlsViolationError), 500 for all others. It names no tenant id, token, table, SQL or hint; the error itself is its
 * `cause`, and is logged with its hint.
 */
export function toClientError(error: RlsTenantsError): HttpException {
  logError(error);
  const known = toHttpError(error);
  if (known instanceof HttpException) return known;
  if (error instanceof RlsViolationError) {
    return new ForbiddenException('Access denied', { cause: error, description: 'Forbidden' });
  }
  if (error instanceof InvalidTenantTokenError) {
    return new UnauthorizedException('Unauthorized', { cause: error, description: 'Unauthorized' });
  }
  return new InternalServerErrorException('Internal server error', {
    cause: error,
    description: 'Internal Server Error',
  });
}

/**
 * {@link toClientError} as GraphQL servers read it, with `extensions.code`: `BAD_REQUEST`, `UNAUTHENTICATED`, `FORBIDDEN`
 * or `INTERNAL_SERVER_ERROR`. They show every other error's message to the client, so that this is not left to a filter;
 * errors that are not the library's are returned as they are.
 */
export function toGraphqlError(error: unknown): unknown {
  if (!(error instanceof RlsTenantsError)) return error;
  const answer = toClientError(error);
  const code = CODES[answer.getStatus()] ?? 'INTERNAL_SERVER_ERROR';
  return Object.assign(answer, { extensions: { code } });
}

/** Tells the operator what the client is not told: a warning where the caller is at fault, an error otherwise. */
export function logError(error: unknown): void {
  if (!(error instanceof RlsTenantsError)) return logger.error(error);
  const text = `${error.name}: ${error.message} ${error.hint}`;
  if (CALLERS_FAULT.some((type) => error instanceof type)) logger.warn(text);
  else logger.error(text, stackOf(error));
}

/** The stacks of the error and of its cause. Not their other properties: a failed query has its parameters there. */
function stackOf(error: Error): string | undefined {
  return error.cause instanceof Error ? `${error.stack}\nCaused by: ${error.cause.stack}` : error.stack;
}

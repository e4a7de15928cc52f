import { Catch, type ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { throwError } from 'rxjs';
import { RlsTenantsError } from '../errors.js';
import { toClientError, toGraphqlError } from './client-errors.js';

/**
 * Answers this library's errors so that nothing leaks, on every transport:
 *
 * | error                                                 | HTTP, `extensions.code`      | message                |
 * | ----------------------------------------------------- | ---------------------------- | ---------------------- |
 * | InvalidTenantIdError                                  | 400, `BAD_REQUEST`           | Invalid tenant         |
 * | InvalidTenantTokenError                               | 401, `UNAUTHENTICATED`       | Unauthorized           |
 * | TenantAccessDeniedError                               | 403, `FORBIDDEN`             | Tenant access denied   |
 * | NoTenantContextError                                  | 403, `FORBIDDEN`             | No tenant              |
 * | RlsViolationError                                     | 403, `FORBIDDEN`             | Access denied          |
 * | RlsConfigurationError and every other RlsTenantsError | 500, `INTERNAL_SERVER_ERROR` | Internal server error  |
 *
 * WebSocket clients get an `exception` event `{ status: 'error', message, cause: { pattern } }`, RPC callers the error
 * `{ status: 'error', message }`, as of Nest's WsException and RpcException. The error itself, with its hint, goes to
 * Nest's Logger, and to nobody else.
 *
 * ```ts
 * providers: [{ provide: APP_FILTER, useClass: RlsTenantsExceptionFilter }]
 * // or
 * app.useGlobalFilters(new RlsTenantsExceptionFilter(app.getHttpAdapter()));
 * ```
 *
 * Nest does not apply global filters to gateways: put `@UseFilters(RlsTenantsExceptionFilter)` on those.
 */
@Catch(RlsTenantsError)
export class RlsTenantsExceptionFilter extends BaseExceptionFilter<RlsTenantsError> {
  override catch(error: RlsTenantsError, host: ArgumentsHost): unknown {
    switch (host.getType<string>()) {
      case 'http':
        super.catch(toClientError(error) as unknown as RlsTenantsError, host);
        return undefined;
      case 'ws':
        return emitException(toClientError(error).message, host);
      case 'rpc': {
        const { message } = toClientError(error);
        return throwError(() => ({ status: 'error', message }));
      }
      default:
        throw toGraphqlError(error);
    }
  }
}

interface Client {
  readonly readyState?: unknown;
  send(text: string): void;
  emit(event: string, payload: object): void;
}

/** As Nest's own filter does: socket.io clients emit; those of `ws`, which only emit locally, send. */
function emitException(message: string, host: ArgumentsHost): void {
  const ws = host.switchToWs();
  const client = ws.getClient<Client>();
  const payload = { status: 'error', message, cause: { pattern: ws.getPattern() } };
  if (typeof client.readyState === 'number') {
    client.send(JSON.stringify({ event: 'exception', data: payload }));
  } else {
    client.emit('exception', payload);
  }
}

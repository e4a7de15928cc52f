import {
  Inject,
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { NatsContext, RedisContext, RpcException, TcpContext } from '@nestjs/microservices';
import type { Observable } from 'rxjs';
import { handlerName, handlerScope, type HandlerScope } from '../context/handler-scope.js';
import { keepContext } from '../context/keep-context.js';
import { enterAdmin, type TenantContextState } from '../context/tenant-context.js';
import { InvalidTenantTokenError, RlsConfigurationError, TenantAccessDeniedError } from '../errors.js';
import { authorizeState, runAs } from '../propagation/index.js';
import type { NatsHeaders } from './nats-headers.js';
import { METADATA_KEY, TenantMessages, type TenantMessage } from './tenant-messages.js';

/**
 * Runs each message and event handler in the tenant context that its message is signed for, until the end of what it
 * returns: promises, Observables, streams.
 *
 * - `@AdminScoped(reason)` runs the handler as admin and asks for no token.
 * - A message without a token is refused before the handler runs, unless the handler is `@TenantOptional()` or
 *   `allowNobody` is set: then it runs for nobody. A token that is not good is refused always.
 * - What the sender sees of a refusal is an RpcException that says no more than that.
 *
 * Outside microservices it does nothing.
 */
@Injectable()
export class TenantMessageInterceptor implements NestInterceptor {
  constructor(
    @Inject(TenantMessages) private readonly messages: TenantMessages,
    @Inject(Reflector) private readonly reflector: Reflector,
  ) {}

  intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Observable<unknown> | Promise<Observable<unknown>> {
    return context.getType() === 'rpc' ? this.interceptMessage(context, next) : next.handle();
  }

  private async interceptMessage(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const scope = handlerScope(this.reflector, context);
    const handle = () => keepContext(next.handle());
    if (scope.kind === 'admin') return enterAdmin(scope.reason, () => handlerName(context), handle);
    return runAs(await this.stateOf(scope, context), handle);
  }

  private async stateOf(scope: HandlerScope, context: ExecutionContext): Promise<TenantContextState> {
    const received = receive(context);
    if (scope.kind === 'optional' && !this.messages.hasToken(received?.metadata)) return { kind: 'nobody' };
    if (received === undefined) throw unsupportedTransport(context);
    const { metadata, message } = received;
    try {
      const state = this.messages.verify(metadata, message);
      await authorizeState(state, this.messages.options.authorize, message);
      return state;
    } catch (error) {
      throw toRpcException(error);
    }
  }
}

/** A message and its metadata, or `undefined` on a transport that has none. */
function receive(context: ExecutionContext): { metadata: unknown; message: TenantMessage } | undefined {
  const rpc = context.switchToRpc();
  const transport: unknown = rpc.getContext();
  const data: unknown = rpc.getData();
  if (transport instanceof TcpContext) {
    return { metadata: transport.getMetadata(), message: { pattern: transport.getPattern(), data } };
  }
  if (transport instanceof RedisContext) {
    return { metadata: transport.getMetadata(), message: { pattern: transport.getChannel(), data } };
  }
  if (transport instanceof NatsContext) {
    const headers = transport.getHeaders() as NatsHeaders | undefined;
    const metadata = headers?.has(METADATA_KEY) ? { [METADATA_KEY]: headers.get(METADATA_KEY) } : undefined;
    // The subject that the message was sent to, also where the handler's pattern is a wildcard.
    return { metadata, message: { pattern: transport.getSubject(), data } };
  }
  return undefined;
}

function unsupportedTransport(context: ExecutionContext): RlsConfigurationError {
  return new RlsConfigurationError(
    `The handler ${handlerName(context)} is reached over a transport whose messages have no metadata.`,
    'Tenants travel over TCP, Redis and NATS. Mark the handler @TenantOptional(), verify the tenant by means of your own, and enter it with TenantContext.run().',
  );
}

/** The library's error goes on as the `cause`, for logs and exception filters. */
function toRpcException(error: unknown): unknown {
  if (error instanceof InvalidTenantTokenError) return rpcException('Invalid tenant', error);
  if (error instanceof TenantAccessDeniedError) return rpcException('Tenant access denied', error);
  return error;
}

function rpcException(message: string, cause: unknown): RpcException {
  return Object.assign(new RpcException(message), { cause });
}

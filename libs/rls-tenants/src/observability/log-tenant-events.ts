import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Logger } from '@nestjs/common';
import type { AdminContextEvent } from '../context/context-events.js';
import type { StatementRefusedEvent, ViolationEvent } from '../connection/statement-events.js';

/**
 * Logs each admin context when it is entered (with its reason and its caller), each refused statement and each violation
 * (as warnings), as one object of one line by Nest's Logger. From now on, until the returned function is called. To be
 * called once, before the application starts:
 *
 * ```ts
 * logTenantEvents();
 * const app = await NestFactory.create(AppModule);
 * ```
 *
 * Lines come in the context in which the thing happened, so that a logger's own fields (the request's id) are right.
 */
export function logTenantEvents(logger: Pick<Logger, 'log' | 'warn'> = new Logger('RlsTenants')): () => void {
  const failed = ({ event, context, error }: StatementRefusedEvent | ViolationEvent) =>
    logger.warn({ event, context, error: error.name, message: error.message });
  const listeners: Record<string, (event: never) => void> = {
    'rls-tenants:admin-context': (event: AdminContextEvent) => logger.log(event),
    'rls-tenants:statement-refused': failed,
    'rls-tenants:violation': failed,
  };
  for (const [name, listener] of Object.entries(listeners)) subscribe(name, listener as never);
  return () => {
    for (const [name, listener] of Object.entries(listeners)) unsubscribe(name, listener as never);
  };
}

import { SetMetadata, type CustomDecorator } from '@nestjs/common';
import { RlsConfigurationError } from '../errors.js';
import { ADMIN_SCOPED } from './handler-scope.js';

/**
 * Runs the handler (or all handlers of the class) as admin instead of as the request's tenant; the request's tenant
 * is not asked for. Who may call it stays the business of your guards.
 *
 * @param reason why, in words that an auditor understands.
 * @throws RlsConfigurationError if the reason is empty, when the class is defined.
 */
export function AdminScoped(reason: string): CustomDecorator<symbol> {
  if (typeof reason !== 'string' || reason.trim() === '') {
    throw new RlsConfigurationError(
      '@AdminScoped() needs a reason.',
      "Say why the handler sees every tenant, for example @AdminScoped('monthly billing report').",
    );
  }
  return SetMetadata(ADMIN_SCOPED, reason);
}

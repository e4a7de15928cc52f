import { RlsTenantsError } from '../errors.js';

/**
 * An assertion of the testing kit failed. The message says it all, the hint included, because test runners show nothing
 * else.
 */
export class IsolationAssertionError extends RlsTenantsError {
  constructor(message: string, hint: string, options?: ErrorOptions) {
    super(`${message}\n${hint}`, hint, options);
  }
}

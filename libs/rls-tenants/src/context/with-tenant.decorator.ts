import 'reflect-metadata';
import { types } from 'node:util';
import { keepContext } from './keep-context.js';
import type { TenantId } from './tenant-id.js';
import { tenantContext } from './tenant-context.js';

/**
 * Runs a method of a service, a job or a listener for the tenant that `selector` reads from its arguments; see
 * {@link tenantContext}. Generators, async generators, Observables and streams that the method returns keep the
 * tenant while they are consumed. `this`, the method's name and its reflect-metadata stay as they are.
 *
 * ```ts
 * @WithTenant((job: InvoiceJob) => job.tenantId)
 * async sendInvoices(job: InvoiceJob) { … }
 * ```
 *
 * The method throws InvalidTenantIdError (an async method rejects with it) if the selector finds no tenant id;
 * its body does not run then.
 */
export function WithTenant<Selected extends unknown[]>(selector: (...args: Selected) => TenantId) {
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- inferred from the method, whose first parameters must be the selector's
  return <Args extends [...Selected, ...unknown[]], Result>(
    _target: object,
    _name: string | symbol,
    descriptor: TypedPropertyDescriptor<(...args: Args) => Result>,
  ): void => {
    const method = descriptor.value as (...args: Args) => Result;
    const rejects = types.isAsyncFunction(method) && !types.isGeneratorFunction(method);
    const wrapper = function (this: unknown, ...args: Args): Result {
      try {
        // The selector may name fewer parameters than the method has.
        const tenantId = Reflect.apply(selector, this, args);
        return tenantContext(tenantId, () => keepContext(Reflect.apply(method, this, args)));
      } catch (error) {
        if (rejects) return Promise.reject(error) as Result;
        throw error;
      }
    };
    copyIdentity(method, wrapper);
    descriptor.value = wrapper;
  };
}

/** Nest and others read metadata, the name and the arity off the method itself. */
export function copyIdentity(from: object & { name: string; length: number }, to: object): void {
  Object.defineProperty(to, 'name', { value: from.name, configurable: true });
  Object.defineProperty(to, 'length', { value: from.length, configurable: true });
  for (const key of Reflect.getOwnMetadataKeys(from)) {
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, from), to);
  }
}

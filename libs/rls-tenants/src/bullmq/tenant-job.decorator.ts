import 'reflect-metadata';
import { Inject } from '@nestjs/common';
import type { Job } from 'bullmq';
import { copyIdentity } from '../context/with-tenant.decorator.js';
import { TenantJobs, type JobProcessor } from './tenant-jobs.js';

const JOBS = Symbol('nestjs-rls-tenants: TenantJobs');

/**
 * Runs the `process` method of a `WorkerHost` (`@nestjs/bullmq`) in the tenant context of its job; see
 * {@link TenantJobs.processor}. Needs {@link TenantJobsModule}.
 *
 * ```ts
 * @Processor('invoices')
 * export class InvoiceProcessor extends WorkerHost {
 *   @TenantJob()
 *   async process(job: Job<InvoiceJob>) { … }
 * }
 * ```
 */
export function TenantJob() {
  return <R>(
    target: object,
    _name: string | symbol,
    descriptor: TypedPropertyDescriptor<JobProcessor<Job, R>>,
  ): void => {
    Inject(TenantJobs)(target, JOBS);
    const method = descriptor.value as JobProcessor<Job, R>;
    const wrapper = function (this: { [JOBS]: TenantJobs }, ...args: Parameters<JobProcessor>): Promise<R> {
      return this[JOBS].run(args[0], () => Reflect.apply(method, this, args));
    };
    copyIdentity(method, wrapper);
    descriptor.value = wrapper;
  };
}

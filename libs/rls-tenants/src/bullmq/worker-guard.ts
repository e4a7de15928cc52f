import { Worker } from 'bullmq';
import { withoutTenant } from '../context/tenant-context.js';

const GUARDED = Symbol('nestjs-rls-tenants: workers begin for nobody');

/**
 * Makes every BullMQ worker of this process that starts from now on run its loop, and with it each job and each of its
 * events, for nobody. A worker's loop otherwise keeps the context in which the worker was made for as long as it lives:
 * one that a request made lazily would run every tenant's jobs as that request's tenant.
 */
export function guardWorkers(): void {
  const prototype = Worker.prototype as Worker & { [GUARDED]?: true };
  if (prototype[GUARDED]) return;
  const run = prototype.run;
  prototype.run = function (this: Worker) {
    return withoutTenant(() => run.call(this));
  };
  prototype[GUARDED] = true;
}

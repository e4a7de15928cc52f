import { Logger } from '@nestjs/common';
import type { Backfill } from './backfill.js';

/** Hands a backfill over to whoever does the work, one job per tenant, and does not wait for it. */
export interface BackfillDispatcher {
  /** Dispatching again is harmless: progress is kept per tenant, and each row changes once. */
  dispatch(name: string, tenantIds: readonly string[]): Promise<void>;
}

/** Does the work in this process, beside what else it does. */
export class InProcessBackfillDispatcher implements BackfillDispatcher {
  private readonly logger = new Logger('Backfill');
  private readonly running: Promise<unknown>[] = [];

  /** @param workers tenants at a time. */
  constructor(
    private readonly backfill: Backfill,
    private readonly workers = 1,
  ) {}

  dispatch(name: string, tenantIds: readonly string[]): Promise<void> {
    this.logger.log(`Backfill "${name}" goes on in this process. If it ends too early, run it again.`);
    const run = this.backfill.run(name, { tenants: tenantIds, workers: this.workers });
    run.catch((error: unknown) => this.logger.error(`Backfill "${name}" failed: ${String(error)}`));
    this.running.push(run);
    return Promise.resolve();
  }

  /** Waits for the end of everything dispatched. @throws what the first that failed threw. */
  async idle(): Promise<void> {
    await Promise.all(this.running);
  }
}

import { setTimeout as pause } from 'node:timers/promises';
import type { Backend } from './backends.js';

const SAMPLE_MS = 100;

/**
 * Looks, again and again while a migration runs, for whom it waits: after a lock timeout PostgreSQL does not say any
 * more. Keeps the last sample in which there was somebody.
 */
export class LockWatch {
  private readonly end = new AbortController();
  private readonly sampling: Promise<void>;
  private seen: readonly Backend[] = [];

  /** @param sample gives the blockers of this moment; it fails if the lock's connection is lost, which ends the watch. */
  constructor(sample: () => Promise<Backend[]>) {
    this.sampling = this.watch(sample);
  }

  /** Stops looking. @returns the last blockers seen. */
  async stop(): Promise<readonly Backend[]> {
    this.end.abort();
    await this.sampling;
    return this.seen;
  }

  private async watch(sample: () => Promise<Backend[]>): Promise<void> {
    const { signal } = this.end;
    try {
      while (!signal.aborted) {
        const blockers = await sample();
        if (blockers.length > 0) this.seen = blockers;
        await pause(SAMPLE_MS, undefined, { signal });
      }
    } catch {
      // Stopped, or the connection is lost: then the runner finds out before it commits.
    }
  }
}

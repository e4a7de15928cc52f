import 'reflect-metadata';
import { GCProfiler } from 'node:v8';

/** What this process does: first a little of it, so that all is loaded, then all of it. */
export type Job =
  | { kind: 'command'; warmUp: readonly string[]; work: readonly string[] }
  | { kind: 'backfill'; url: string; adminRole: string };

/** A job in a process that has loaded what it takes. */
export interface Steps {
  warmUp(): Promise<unknown>;
  work(): Promise<unknown>;
  close?(): Promise<void>;
}

/** What one process took. Memory is in bytes. */
export interface Sample {
  /** From the start of the process until the smallest work is done, and so everything loaded. */
  loadMs: number;
  /** The work alone, in the loaded process. */
  workMs: number;
  /** In use after a collection of garbage, once everything is loaded. */
  loadedHeap: number;
  /** The most that was in use after a collection during the work. Exact only if each collection is a full one. */
  peakHeap: number;
  loadedRss: number;
  peakRss: number;
}

async function main(): Promise<void> {
  const steps = await load(JSON.parse(process.argv[2]!) as Job);
  await steps.warmUp();
  const loadMs = performance.now();
  globalThis.gc!();
  const { heapUsed: loadedHeap, rss: loadedRss } = process.memoryUsage();
  const profiler = new GCProfiler();
  profiler.start();
  const started = performance.now();
  await steps.work();
  const workMs = performance.now() - started;
  globalThis.gc!();
  const collections = profiler.stop().statistics.filter(({ gcType }) => gcType !== 'Scavenge');
  const peakHeap = Math.max(...collections.map(({ afterGC }) => afterGC.heapStatistics.usedHeapSize));
  const peakRss = process.resourceUsage().maxRSS * 1024;
  await steps.close?.();
  process.send!({ loadMs, workMs, loadedHeap, peakHeap, loadedRss, peakRss } satisfies Sample);
  process.disconnect();
}

// Imported only where they are needed: what the other one loads would be part of what is measured.
async function load(job: Job): Promise<Steps> {
  if (job.kind === 'command') {
    const { commandSteps } = await import('./command-steps.js');
    return commandSteps(job.warmUp, job.work);
  }
  const { backfillSteps } = await import('./backfill-steps.js');
  return backfillSteps(job.url, job.adminRole);
}

await main();

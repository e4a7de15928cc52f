import type { Job } from './work.process.js';

export type WorkName = 'audit' | 'lint' | 'backfill';

/** What a process is given to do. */
export interface Task {
  job: Job;
  /** The arguments of the command that does the same, for work that is a command. */
  command?: readonly string[];
  /** @throws if the process has not done all of it. */
  check(): Promise<void>;
}

/** One kind of work, at sizes that grow tenfold. */
export interface Work {
  name: WorkName;
  /** What a size counts. */
  unit: string;
  sizes: readonly number[];
  /** Makes what there is to work on; called anew for each process. */
  prepare(size: number): Promise<Task>;
}

/** Calls `make` once for each key. */
export function once<Made>(make: (key: number) => Promise<Made>): (key: number) => Promise<Made> {
  const made = new Map<number, Promise<Made>>();
  return (key) => {
    const known = made.get(key) ?? make(key);
    made.set(key, known);
    return known;
  };
}

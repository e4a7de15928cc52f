import type { Backend } from './backends.js';

/** What a runner is doing, for whoever shows it. */
export type MigrationEvent =
  /** Another runner holds the lock. */
  | { readonly type: 'waiting'; readonly holders: readonly Backend[] }
  | { readonly type: 'warning'; readonly message: string; readonly hint: string }
  | (MigrationStep & { readonly type: 'started' })
  | (MigrationStep & { readonly type: 'finished'; readonly durationMs: number })
  /** A lock timeout or a deadlock; it runs again after a pause. */
  | (MigrationStep & {
      readonly type: 'retry';
      /** Which attempt failed, from 1. */
      readonly attempt: number;
      readonly tries: number;
      readonly delayMs: number;
      readonly reason: string;
      /** Who was in the way, as far as it was seen. */
      readonly blockers: readonly Backend[];
    });

/** One migration among those of this run. */
export interface MigrationStep {
  readonly name: string;
  readonly action: MigrationAction;
  /** From 1. */
  readonly position: number;
  readonly of: number;
}

/** What is done with a migration. */
export type MigrationAction = 'run' | 'revert' | 'fake' | 'fake-revert';

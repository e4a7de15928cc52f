import { setTimeout as sleep } from 'node:timers/promises';

/** lock_not_available, deadlock_detected, serialization_failure: another transaction was in the way. */
const CONTENTION = new Set(['55P03', '40P01', '40001']);

const ATTEMPTS = 10;
const LONGEST_WAIT_MS = 10_000;

/** Whether a transaction may succeed if it is simply run again. */
export function isContention(error: unknown): boolean {
  return CONTENTION.has((error as { code?: string } | undefined)?.code ?? '');
}

/** Data exceptions, violated constraints, and what a trigger raises: other rows may well pass. */
const ROW_FAULT = /^(?:22|23)...$|^P0001$/;

/** Whether a statement failed on a row's values, rather than on its own words or on the connection. */
export function isRowFault(error: unknown): boolean {
  return ROW_FAULT.test((error as { code?: string } | undefined)?.code ?? '');
}

/** Runs a transaction again while others are in its way: ten times, with waits that double and vary, then it throws. */
export async function retryContention<T>(
  transaction: () => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await transaction();
    } catch (error) {
      if (attempt === ATTEMPTS || !isContention(error)) throw error;
    }
    // Workers that collided once must not collide again at the same moment.
    const wait = Math.min(50 * 2 ** attempt, LONGEST_WAIT_MS) * (0.5 + Math.random());
    await pause(wait, signal);
  }
}

/** Waits. @throws the signal's reason as soon as it is aborted. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

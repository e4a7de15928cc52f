/** How often and how long a runner tries again after a lock timeout or a deadlock. */
export interface RetryOptions {
  /** How often a migration is tried at most. Default 10. */
  tries?: number | undefined;
  /** The longest pause before the second try, in milliseconds; it doubles each time. Default 1,000. */
  firstDelayMs?: number | undefined;
  /** The longest pause of all, in milliseconds. Default 30,000. */
  maxDelayMs?: number | undefined;
}

export const DEFAULT_RETRY = { tries: 10, firstDelayMs: 1_000, maxDelayMs: 30_000 };

const REASONS: Record<string, string> = { '55P03': 'lock timeout', '40P01': 'deadlock' };

/** Why an error is worth another try: it came of others' locks. Nothing for any other error. */
export function retryReason(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; { cause } = cause) {
    const { code } = cause as { code?: unknown };
    if (typeof code === 'string' && code in REASONS) return REASONS[code];
  }
  return undefined;
}

/** Whether the server did not say no but was gone: nothing is known of what was asked last. */
export function isConnectionError(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  // connection_exception and operator_intervention, or no SQLSTATE at all
  return typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code) || /^(?:08|57)/.test(code);
}

/**
 * The pause after a failed attempt, in milliseconds: exponential, and random between its half and its whole, so that two
 * who were in each other's way do not meet again.
 *
 * @param attempt from 1.
 */
export function retryDelayMs(
  attempt: number,
  { firstDelayMs, maxDelayMs }: Pick<typeof DEFAULT_RETRY, 'firstDelayMs' | 'maxDelayMs'>,
): number {
  const longest = Math.min(maxDelayMs, firstDelayMs * 2 ** (attempt - 1));
  return Math.round(longest * (0.5 + Math.random() / 2));
}

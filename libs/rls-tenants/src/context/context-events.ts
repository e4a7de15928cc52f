import { channel } from 'node:diagnostics_channel';
import { types } from 'node:util';
import { isObservable, tap } from 'rxjs';
import type { TenantContextState } from './tenant-context.js';

const entering = channel('rls-tenants:admin-context');
const ending = channel('rls-tenants:admin-context-ended');

/**
 * An admin context is entered: what the diagnostics channel `rls-tenants:admin-context` publishes. Not where it is
 * entered from an admin context of the same reason.
 */
export interface AdminContextEvent {
  readonly event: 'admin context';
  /** Why, as given to `adminContext(reason, fn)` or `@AdminScoped(reason)`. */
  readonly reason: string;
  /**
   * Who entered it: `file:line` of the nearest caller outside of this library, or `Class.method` of a handler marked
   * `@AdminScoped`. `undefined` where the stack does not tell.
   */
  readonly caller: string | undefined;
  /** The tenant context from which it is entered. */
  readonly from: TenantContextState;
}

/** An admin context is over: what the diagnostics channel `rls-tenants:admin-context-ended` publishes. */
export interface AdminContextEndedEvent extends Omit<AdminContextEvent, 'event'> {
  readonly event: 'admin context ended';
  /** How long it lasted, in milliseconds. */
  readonly durationMs: number;
  /** Whether it ended by an error. */
  readonly failed: boolean;
}

/** Whether anybody listens to admin contexts. Where nobody does, an admin context costs nothing more than this. */
export function isAdminContextObserved(): boolean {
  return entering.hasSubscribers || ending.hasSubscribers;
}

/**
 * Runs what enters an admin context, and publishes both its ends, in the context that surrounds it. The end is when the
 * function has returned or thrown, when its promise has settled, or when its Observable is over, as a handler's is.
 */
export function publishAdminContext<T>(
  { reason, caller, from }: Omit<AdminContextEvent, 'event'>,
  run: () => T,
): T {
  if (entering.hasSubscribers)
    entering.publish({ event: 'admin context', reason, caller, from } satisfies AdminContextEvent);
  if (!ending.hasSubscribers) return run();
  const enteredAt = performance.now();
  const ended = (failed: boolean) => {
    const durationMs = performance.now() - enteredAt;
    ending.publish({
      event: 'admin context ended',
      reason,
      caller,
      from,
      durationMs,
      failed,
    } satisfies AdminContextEndedEvent);
  };
  return whenOver(run, ended);
}

function whenOver<T>(run: () => T, ended: (failed: boolean) => void): T {
  let result: T;
  try {
    result = run();
  } catch (error) {
    ended(true);
    throw error;
  }
  if (types.isPromise(result)) {
    // The promise that follows, not a second branch: that would hide, or double, an unhandled rejection.
    return result.then(
      (value: unknown) => {
        ended(false);
        return value;
      },
      (error: unknown) => {
        ended(true);
        throw error;
      },
    ) as T;
  }
  if (isObservable(result)) {
    let failed = false;
    return result.pipe(tap({ error: () => (failed = true), finalize: () => ended(failed) })) as T;
  }
  ended(false);
  return result;
}

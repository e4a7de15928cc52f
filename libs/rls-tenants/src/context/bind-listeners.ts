import { AsyncResource } from 'node:async_hooks';
import { isContextEntered } from './tenant-context.js';

type Listener = (...args: unknown[]) => unknown;
type Method = (this: object, event: string | symbol, listener: Listener) => unknown;
type Emitter = Record<(typeof ADD)[number] | (typeof REMOVE)[number], Method>;

const ADD = ['on', 'addListener', 'prependListener'] as const;
const REMOVE = ['off', 'removeListener'] as const;
const METHODS = [...ADD, ...REMOVE];

/** Prototypes, and emitters with methods of their own, whose methods bind already. */
const binding = new WeakSet<object>();

/** Of an emitter: the wrappers of listeners that are wrappers themselves, as those that `once()` adds. */
const wrappersOf = new WeakMap<object, WeakMap<Listener, Listener>>();

/**
 * From now on each listener that is added to `emitter` in a tenant context runs in the context in which it was added,
 * instead of the context of whoever emits. For a request and its response that is the HTTP server's, or that of the
 * request before it on the same connection: without this the tenant is lost when a middleware waits for the body by
 * itself, and when a stream that a handler pipes into the response goes on after `'drain'`.
 *
 * Listeners that were added before, or outside of any context, stay as they are: an outsider's listener must not run
 * as the handler's tenant.
 *
 * It is the class of the emitter that binds, from the first time on: methods defined, or assigned, on each request and
 * response make Express slower by a quarter, and another prototype for each makes it worse.
 */
export function bindListeners(emitter: unknown): void {
  if (!isEmitter(emitter)) return;
  const prototype = Object.getPrototypeOf(emitter) as unknown;
  if (isEmitter(prototype)) replaceMethods(prototype, METHODS);
  // Middleware may have given the emitter methods of its own, as `compression` does.
  if (hasOwnMethods(emitter))
    replaceMethods(
      emitter,
      METHODS.filter((name) => Object.hasOwn(emitter, name)),
    );
}

function replaceMethods(target: Emitter, names: readonly (keyof Emitter)[]): void {
  if (binding.has(target)) return;
  binding.add(target);
  for (const name of names) {
    const method = target[name];
    const value = (REMOVE as readonly string[]).includes(name) ? removing(method) : adding(method);
    Object.defineProperty(target, name, { value, configurable: true, writable: true, enumerable: false });
  }
}

function adding(add: Method): Method {
  return function (event, listener) {
    return add.call(this, event, isContextEntered() ? bindListener(this, listener) : listener);
  };
}

function removing(remove: Method): Method {
  return function (event, listener) {
    return remove.call(this, event, wrappersOf.get(this)?.get(listener) ?? listener);
  };
}

function bindListener(emitter: object, listener: Listener): Listener {
  // Not a function: Node.js refuses it, with its own message.
  if (typeof listener !== 'function') return listener;
  const scope = new AsyncResource('TenantContext');
  const wrapper: Listener & { listener?: Listener } = function (this: unknown, ...args: unknown[]) {
    return scope.runInAsyncScope(listener, this, ...args);
  };
  // Node.js compares this property when a listener is removed and unwraps it in `listeners()`. What `once()` adds is a
  // wrapper already: it is removed by its own identity when it fires, and by the listener in it when its owner does.
  const { listener: wrapped } = listener as { listener?: Listener };
  if (wrapped) {
    let wrappers = wrappersOf.get(emitter);
    if (wrappers === undefined) wrappersOf.set(emitter, (wrappers = new WeakMap()));
    wrappers.set(listener, wrapper);
  }
  wrapper.listener = wrapped ?? listener;
  return wrapper;
}

function isEmitter(value: unknown): value is Emitter {
  return typeof value === 'object' && value !== null && METHODS.every((name) => name in value);
}

function hasOwnMethods(emitter: Emitter): boolean {
  return METHODS.some((name) => Object.hasOwn(emitter, name));
}

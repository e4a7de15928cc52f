import { AsyncResource } from 'node:async_hooks';

type Listener = (...args: unknown[]) => unknown;
type Method = (this: object, event: string | symbol, listener: Listener) => unknown;
type Emitter = Record<'on' | 'addListener' | 'prependListener' | 'off' | 'removeListener', Method>;

const boundEmitters = new WeakSet<object>();

/** Of a class of emitters: what its instances get in the place of its methods. */
const boundMethods = new WeakMap<object, Emitter>();

/** Of an emitter: the wrappers of listeners that are wrappers themselves, as those that `once()` adds. */
const wrappersOf = new WeakMap<object, WeakMap<Listener, Listener>>();

/**
 * From now on each listener added to `emitter` runs in the context in which it was added, instead of the context
 * of whoever emits. For a request and its response that is the HTTP server's, or that of the request before it on the
 * same connection: without this the tenant is lost when a middleware waits for the body by itself, and when a stream
 * that a handler pipes into the response goes on after `'drain'`.
 *
 * Listeners that were added before stay as they are: an outsider's listener must not run as the handler's tenant.
 */
export function bindListeners(emitter: unknown): void {
  if (!isEmitter(emitter) || boundEmitters.has(emitter)) return;
  boundEmitters.add(emitter);
  // Every request pays this. Plain assignments of functions that are shared take a tenth of what closures and property
  // descriptors take; another prototype makes Node.js' own work on the request slower by more than all of it.
  const methods = hasOwnMethods(emitter) ? bind(emitter) : boundMethodsOf(emitter);
  emitter.on = methods.on;
  emitter.addListener = methods.addListener;
  emitter.prependListener = methods.prependListener;
  emitter.off = methods.off;
  emitter.removeListener = methods.removeListener;
}

function boundMethodsOf(emitter: Emitter): Emitter {
  const prototype = Object.getPrototypeOf(emitter) as Emitter;
  let methods = boundMethods.get(prototype);
  if (methods === undefined) boundMethods.set(prototype, (methods = bind(prototype)));
  return methods;
}

function bind({ on, addListener, prependListener, off, removeListener }: Emitter): Emitter {
  return {
    on: adding(on),
    addListener: adding(addListener),
    prependListener: adding(prependListener),
    off: removing(off),
    removeListener: removing(removeListener),
  };
}

function adding(add: Method): Method {
  return function (event, listener) {
    return add.call(this, event, bindListener(this, listener));
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
  return (
    typeof value === 'object' &&
    value !== null &&
    'on' in value &&
    'addListener' in value &&
    'prependListener' in value &&
    'off' in value &&
    'removeListener' in value
  );
}

/** Middleware may have given the emitter methods of its own, as `compression` does. */
function hasOwnMethods(emitter: Emitter): boolean {
  return (
    Object.hasOwn(emitter, 'on') ||
    Object.hasOwn(emitter, 'addListener') ||
    Object.hasOwn(emitter, 'prependListener') ||
    Object.hasOwn(emitter, 'off') ||
    Object.hasOwn(emitter, 'removeListener')
  );
}

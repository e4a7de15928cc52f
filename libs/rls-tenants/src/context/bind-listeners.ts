import { AsyncResource } from 'node:async_hooks';

type Listener = (...args: unknown[]) => unknown;
type Method = (this: object, event: string | symbol, listener: Listener) => unknown;
type Emitter = Record<(typeof ADD)[number] | (typeof REMOVE)[number], Method>;

const ADD = ['on', 'addListener', 'prependListener'] as const;
const REMOVE = ['off', 'removeListener'] as const;

/** What stands between a bound emitter and its class; one object for all emitters of a class. */
const boundPrototypes = new WeakMap<object, object>();
const isBoundPrototype = new WeakSet<object>();

/** Of an emitter: the wrappers of listeners that are wrappers themselves, as those that `once()` adds. */
const wrappersOf = new WeakMap<object, WeakMap<Listener, Listener>>();

/**
 * From now on each listener added to `emitter` runs in the context in which it was added, instead of the context
 * of whoever emits. For a request and its response that is the HTTP server's, or that of the request before it on the
 * same connection: without this the tenant is lost when a middleware waits for the body by itself, and when a stream
 * that a handler pipes into the response goes on after `'drain'`.
 *
 * Listeners that were added before stay as they are: an outsider's listener must not run as the handler's tenant.
 *
 * The emitter gets another prototype, as Express gives it to each request; methods of its own for each emitter would
 * cost ten times as much, and every request pays it.
 */
export function bindListeners(emitter: unknown): void {
  if (!isEmitter(emitter)) return;
  const prototype = Object.getPrototypeOf(emitter) as object;
  if (isBoundPrototype.has(prototype)) return;
  replaceMethods(emitter, (name) => Object.hasOwn(emitter, name));
  Object.setPrototypeOf(emitter, boundPrototypeOf(prototype));
}

function boundPrototypeOf(prototype: object): object {
  let bound = boundPrototypes.get(prototype);
  if (bound === undefined) {
    bound = Object.create(prototype) as object;
    replaceMethods(bound as Emitter, (name) => name in prototype);
    boundPrototypes.set(prototype, bound);
    isBoundPrototype.add(bound);
  }
  return bound;
}

/** Gives `target` methods of its own in the place of those that it has or inherits and that are `chosen`. */
function replaceMethods(target: Emitter, chosen: (name: keyof Emitter) => boolean): void {
  const replace = (name: keyof Emitter, value: Method) =>
    Object.defineProperty(target, name, { value, configurable: true, writable: true, enumerable: false });
  for (const name of ADD.filter(chosen)) {
    const add = target[name];
    replace(name, function (event, listener) {
      return add.call(this, event, bindListener(this, listener));
    });
  }
  for (const name of REMOVE.filter(chosen)) {
    const remove = target[name];
    replace(name, function (event, listener) {
      return remove.call(this, event, wrappersOf.get(this)?.get(listener) ?? listener);
    });
  }
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

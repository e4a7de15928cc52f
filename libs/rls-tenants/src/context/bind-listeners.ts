import { AsyncResource } from 'node:async_hooks';

type Listener = (...args: unknown[]) => unknown;
type Emitter = Record<string, (event: string | symbol, listener: Listener) => unknown>;

const ADD = ['on', 'addListener', 'prependListener'] as const;
const REMOVE = ['off', 'removeListener'] as const;
const boundEmitters = new WeakSet<object>();

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
  const bound = new WeakMap<Listener, Listener>();
  for (const name of ADD) {
    const add = emitter[name] as Listener;
    replace(emitter, name, (event, listener) => add.call(emitter, event, bindListener(bound, listener)));
  }
  for (const name of REMOVE) {
    const remove = emitter[name] as Listener;
    replace(emitter, name, (event, listener) => remove.call(emitter, event, bound.get(listener) ?? listener));
  }
}

function bindListener(bound: WeakMap<Listener, Listener>, listener: Listener): Listener {
  // Not a function: Node.js refuses it, with its own message.
  if (typeof listener !== 'function') return listener;
  const scope = new AsyncResource('TenantContext');
  const wrapper = function (this: unknown, ...args: unknown[]) {
    return scope.runInAsyncScope(listener, this, ...args);
  };
  // Node.js compares this property when a listener is removed and unwraps it in `listeners()`. What `once()` adds is a
  // wrapper already: it is removed by its own identity when it fires, and by the listener in it when its owner does.
  const { listener: wrapped } = listener as { listener?: Listener };
  if (wrapped) bound.set(listener, wrapper);
  return Object.assign(wrapper, { listener: wrapped ?? listener });
}

function replace(
  emitter: Emitter,
  name: string,
  value: (event: string | symbol, listener: Listener) => unknown,
): void {
  Object.defineProperty(emitter, name, { value, configurable: true, writable: true, enumerable: false });
}

function isEmitter(value: unknown): value is Emitter {
  return typeof value === 'object' && value !== null && [...ADD, ...REMOVE].every((name) => name in value);
}

import { AsyncResource } from 'node:async_hooks';
import { StreamableFile } from '@nestjs/common';
import { isObservable, Observable, Subscriber, type MonoTypeOperatorFunction } from 'rxjs';

/** Runs a function in an asynchronous context that was captured earlier. */
export type Scope = <T>(fn: () => T) => T;

/** A method of an object that this library did not make: called with whatever the object's user passed. */
// oxlint-disable-next-line typescript/no-explicit-any
type ForeignMethod = (...args: any[]) => any;

type AsyncIterableObject = object & { [Symbol.asyncIterator]: ForeignMethod };

const GENERATORS = new Set(['[object Generator]', '[object AsyncGenerator]']);
const ITERATOR_METHODS = ['next', 'return', 'throw'] as const;

// What a Node.js stream runs when it is read, written to or destroyed: that is, whenever its consumer likes.
const STREAM_HOOKS = [
  '_read',
  '_write',
  '_writev',
  '_final',
  '_transform',
  '_flush',
  '_destroy',
  'emit',
] as const;

/**
 * Makes a value that runs code later run it in the caller's context, whoever consumes it: the whole asynchronous
 * context, so that the tenant and the user's own nestjs-cls values stay together. Covers Observables (each
 * subscription, emission and teardown), generators, async iterables, Node.js streams, `StreamableFile`, web streams
 * and `Response`s, and promises of all these. Anything else is returned as it is.
 *
 * The code of a generator, and the `read()` of a stream, run in the context of whoever asks for the next piece;
 * for a response that is the HTTP server, or the request before it on the same connection. What can be read once
 * (a generator, a stream) is changed in place, because Nest releases the very objects that the handler returned.
 *
 * A hot Observable (a `Subject`, `fromEvent`) runs its operators in the context of whoever emits: put
 * {@link keepTenantContext} behind it.
 */
export function keepContext<T>(value: T): T {
  return isLazy(value) ? (bind(captureScope(), value) as T) : value;
}

/** {@link keepContext} for what a handler returns; its errors become those that `reported` makes of them. */
export function keepHandlerContext(
  response: Observable<unknown>,
  reported: (error: unknown) => unknown,
): Observable<unknown> {
  return bindObservable(captureScope(), response, reported);
}

/**
 * An rxjs operator that hands on every value in the context of the subscriber instead of the emitter's. Needed
 * behind a source that several requests share, before operators that query:
 *
 * ```ts
 * @Sse() changes() {
 *   return this.changes$.pipe(keepTenantContext(), switchMap(() => this.tasks.find()), …);
 * }
 * ```
 *
 * Without it `find()` would run for the tenant whose request called `changes$.next()`.
 */
export function keepTenantContext<T>(): MonoTypeOperatorFunction<T> {
  return (source) => new Observable((subscriber) => subscribeIn(captureScope(), source, subscriber));
}

/**
 * The caller's asynchronous context, to run callbacks in. Used where `AsyncResource.bind` would do: on Node.js 20 that
 * defines a deprecated property on every function it returns, which costs more than the rest of a carried statement.
 */
export function captureScope(): Scope {
  const resource = new AsyncResource('TenantContext');
  return (fn) => resource.runInAsyncScope(fn);
}

type ErrorMap = (error: unknown) => unknown;

function unchanged<T>(value: T): T {
  return value;
}

function isLazy(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function bind(scope: Scope, value: unknown): unknown {
  if (!isLazy(value)) return value;
  if (value instanceof Promise) return value.then((settled) => bind(scope, settled));
  if (isObservable(value)) return bindObservable(scope, value);
  if (value instanceof StreamableFile) bind(scope, value.getStream());
  else if (has(value, '_read')) bindMethods(scope, value, STREAM_HOOKS);
  else if (tagOf(value) === '[object Response]') bind(scope, (value as { body: unknown }).body);
  else if (has(value, 'getReader')) bindWebStream(scope, value);
  else if (GENERATORS.has(tagOf(value))) bindMethods(scope, value, ITERATOR_METHODS);
  else if (has(value, Symbol.asyncIterator) && !has(value, 'then')) return bindIterable(scope, value);
  return value;
}

function bindObservable<T>(
  scope: Scope,
  source: Observable<T>,
  reported: ErrorMap = unchanged,
): Observable<T> {
  return new Observable<T>((subscriber) =>
    subscribeIn(scope, source, subscriber, (value) => bind(scope, value) as T, reported),
  );
}

/** Subscribes in the scope; each value and error goes on as what it is made into. */
function subscribeIn<T>(
  scope: Scope,
  source: Observable<T>,
  subscriber: Subscriber<T>,
  handedOn: (value: T) => T = unchanged,
  reported: ErrorMap = unchanged,
): void {
  const inner = new Subscriber<T>({
    next: (value) => scope(() => handOn(subscriber, value, handedOn)),
    error: (error: unknown) => scope(() => subscriber.error(reported(error))),
    complete: () => scope(() => subscriber.complete()),
  });
  // Before subscribing: a source that emits at once may be cancelled while it does.
  subscriber.add(() => scope(() => inner.unsubscribe()));
  scope(() => source.subscribe(inner));
}

function handOn<T>(subscriber: Subscriber<T>, value: T, handedOn: (value: T) => T): void {
  let next: T;
  try {
    next = handedOn(value);
  } catch (error) {
    subscriber.error(error); // of a getter or a proxy of the value's own
    return;
  }
  subscriber.next(next);
}

/** Another object: one iterable may serve many requests, so that what one of them is bound to must not stick to it. */
function bindIterable<T extends AsyncIterableObject>(scope: Scope, iterable: T): T {
  return new Proxy(iterable, {
    get: (target, name) =>
      name === Symbol.asyncIterator
        ? bindOpener(scope, target)
        : (Reflect.get(target, name, target) as unknown),
  });
}

function bindOpener(scope: Scope, iterable: AsyncIterableObject): () => object {
  const open = iterable[Symbol.asyncIterator];
  return () => {
    const iterator = scope(() => open.call(iterable)) as object;
    const methods = ITERATOR_METHODS.filter((name) => has(iterator, name));
    return Object.fromEntries(
      methods.map((name) => {
        const method = (iterator as Record<string, ForeignMethod>)[name] as ForeignMethod;
        return [name, (...args: unknown[]) => scope(() => Reflect.apply(method, iterator, args))];
      }),
    );
  };
}

function bindWebStream(scope: Scope, stream: object & Record<'getReader', ForeignMethod>): void {
  const getReader = stream.getReader;
  replace(stream, 'getReader', (...args: unknown[]) => {
    const reader = Reflect.apply(getReader, stream, args) as object;
    bindMethods(scope, reader, ['read', 'cancel']);
    return reader;
  });
  bindMethods(scope, stream, ['cancel']);
  if (has(stream, Symbol.asyncIterator)) replace(stream, Symbol.asyncIterator, bindOpener(scope, stream));
}

/** Makes those of the methods that `target` has run in the scope, whoever calls them. */
export function bindMethods(scope: Scope, target: object, names: readonly string[]): void {
  for (const name of names) {
    const method = (target as Record<string, ForeignMethod | undefined>)[name];
    if (typeof method !== 'function') continue;
    replace(target, name, function (this: unknown, ...args: unknown[]) {
      return scope(() => Reflect.apply(method, this, args));
    });
  }
}

function replace(target: object, name: string | symbol, value: unknown): void {
  Object.defineProperty(target, name, { value, configurable: true, writable: true, enumerable: false });
}

function has<K extends string | symbol>(
  value: object,
  name: K,
): value is object & { [name in K]: ForeignMethod } {
  return typeof (value as Record<K, unknown>)[name] === 'function';
}

function tagOf(value: object): string {
  return Object.prototype.toString.call(value);
}

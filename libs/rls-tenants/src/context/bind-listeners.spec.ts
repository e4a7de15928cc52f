import { EventEmitter, once } from 'node:events';
import { PassThrough } from 'node:stream';
import { bindListeners } from './bind-listeners.js';
import { currentTenantContext, tenantContext, withoutTenant } from './tenant-context.js';

const who = () => {
  const state = currentTenantContext();
  return state.kind === 'tenant' ? state.tenantId : state.kind;
};

describe('bindListeners', () => {
  let emitter: EventEmitter;
  let heard: string[];
  const hear = () => heard.push(who());

  beforeEach(() => {
    // A class of its own: it is the class that binds.
    emitter = new (class extends EventEmitter {})();
    heard = [];
  });

  it('runs each listener in the context in which it was added, whoever emits', () => {
    emitter.on('event', () => heard.push(`before: ${who()}`));
    bindListeners(emitter);
    tenantContext('a', () => emitter.on('event', hear));
    tenantContext('b', () => emitter.once('event', () => heard.push(`once: ${who()}`)));
    tenantContext('b', () => emitter.prependListener('event', () => heard.push(`first: ${who()}`)));
    tenantContext('c', () => emitter.emit('event'));
    expect(heard).toEqual(['first: b', 'before: c', 'a', 'once: b']);
  });

  it('passes arguments and this, and returns whether somebody listened', () => {
    bindListeners(emitter);
    expect(emitter.emit('event')).toBe(false);
    const listener = jest.fn(function (this: unknown, ..._args: unknown[]) {
      expect(this).toBe(emitter);
    });
    emitter.on('event', listener);
    expect(emitter.emit('event', 1, 2)).toBe(true);
    expect(listener).toHaveBeenCalledWith(1, 2);
  });

  it.each(['off', 'removeListener'] as const)('%s removes a listener by its own identity', (remove) => {
    bindListeners(emitter);
    emitter.on('event', hear).once('event', hear);
    expect(emitter.listeners('event')).toEqual([hear, hear]);
    emitter[remove]('event', hear)[remove]('event', hear);
    expect(emitter.listenerCount('event')).toBe(0);
  });

  it('a once listener fires once and is gone', async () => {
    bindListeners(emitter);
    emitter.once('event', hear).prependOnceListener('event', hear);
    emitter.emit('event');
    emitter.emit('event');
    expect(heard).toHaveLength(2);
    expect(emitter.listenerCount('event')).toBe(0);
    setImmediate(() => emitter.emit('event', 1));
    expect(await once(emitter, 'event')).toEqual([1]);
  });

  it('a listener added before is still removable', () => {
    emitter.on('event', hear);
    bindListeners(emitter);
    emitter.off('event', hear);
    expect(emitter.listenerCount('event')).toBe(0);
  });

  it('binds once, however often it is asked', () => {
    bindListeners(emitter);
    bindListeners(emitter);
    tenantContext('a', () => emitter.on('event', hear));
    const [wrapper] = emitter.rawListeners('event') as { listener?: unknown }[];
    expect(wrapper!.listener).toBe(hear);
    emitter.off('event', hear);
    expect(emitter.listenerCount('event')).toBe(0);
  });

  it('binds where a middleware gave the emitter methods of its own, and calls those', () => {
    const own = jest.fn((event: string, listener: () => void) =>
      EventEmitter.prototype.on.call(emitter, event, listener),
    );
    Object.assign(emitter, { on: own });
    bindListeners(emitter);
    tenantContext('a', () => emitter.on('event', hear));
    tenantContext('b', () => emitter.addListener('event', hear));
    emitter.emit('event');
    expect(heard).toEqual(['a', 'b']);
    expect(own).toHaveBeenCalledTimes(1);
  });

  it('leaves listeners alone that are added outside of any context', () => {
    bindListeners(emitter);
    emitter.on('event', hear);
    tenantContext('b', () => emitter.emit('event'));
    expect(heard).toEqual(['b']);
    expect(emitter.rawListeners('event')).toEqual([hear]);
  });

  it('binds to nobody where a context of nobody was entered', () => {
    bindListeners(emitter);
    withoutTenant(() => emitter.on('event', hear));
    tenantContext('b', () => emitter.emit('event'));
    expect(heard).toEqual(['nobody']);
  });

  it('leaves other classes alone', () => {
    bindListeners(emitter);
    const other = new EventEmitter();
    tenantContext('a', () => other.on('event', hear));
    expect(other.rawListeners('event')).toEqual([hear]);
  });

  it('leaves no listener behind when a pipe into it ends', async () => {
    const target = new PassThrough();
    bindListeners(target);
    const before = target.eventNames().map((name) => [name, target.listenerCount(name)]);
    const source = new PassThrough();
    source.pipe(target, { end: false });
    source.end('text');
    await once(source, 'end');
    source.unpipe(target);
    expect(target.eventNames().map((name) => [name, target.listenerCount(name)])).toEqual(before);
  });

  it('leaves alone what is no emitter', () => {
    for (const value of [undefined, null, {}, 'request']) expect(() => bindListeners(value)).not.toThrow();
  });
});

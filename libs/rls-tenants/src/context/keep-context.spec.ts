import { Readable, Transform } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { StreamableFile } from '@nestjs/common';
import {
  defer,
  finalize,
  firstValueFrom,
  from,
  interval,
  map,
  of,
  Subject,
  switchMap,
  take,
  toArray,
} from 'rxjs';
import { keepContext, keepTenantContext } from './keep-context.js';
import { currentTenantContext, requireTenantId, tenantContext } from './tenant-context.js';

const who = () => {
  const state = currentTenantContext();
  return state.kind === 'tenant' ? state.tenantId : state.kind;
};

/** Yields who it runs for, piece by piece, and notes who it is cleaned up for. */
async function* lines(cleanedUpFor: string[] = [], count = 3) {
  try {
    for (let line = 0; line < count; line++) {
      yield who();
      await delay(1);
    }
  } finally {
    cleanedUpFor.push(who());
  }
}

const inTenant = <T>(create: () => T): T => tenantContext('a', () => keepContext(create()));

function expectNobody(): void {
  expect(who()).toBe('nobody');
}

describe('what runs later keeps the context in which it was made', () => {
  afterEach(expectNobody);

  it('an async generator, its clean-up included, whoever iterates', async () => {
    const cleanedUpFor: string[] = [];
    const generator = inTenant(() => lines(cleanedUpFor));
    const seen: string[] = [];
    await tenantContext('b', async () => {
      for await (const line of generator) seen.push(line, who());
    });
    expect(seen).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
    expect(cleanedUpFor).toEqual(['a']);
  });

  it('an async generator that is abandoned half-way', async () => {
    const cleanedUpFor: string[] = [];
    for await (const line of inTenant(() => lines(cleanedUpFor, 1000))) {
      expect(line).toBe('a');
      break;
    }
    expect(cleanedUpFor).toEqual(['a']);
  });

  it('a generator that is driven by hand', async () => {
    const generator = inTenant(() => lines());
    expect(await generator.next()).toEqual({ done: false, value: 'a' });
    expect(await generator.return(undefined)).toEqual({ done: true, value: undefined });
  });

  it('a sync generator', () => {
    const generator = inTenant(function* () {
      yield who();
      yield who();
    });
    expect([...generator]).toEqual(['a', 'a']);
  });

  it('an async iterable that is no generator', async () => {
    const iterable = inTenant(() => ({
      [Symbol.asyncIterator]() {
        const opener = who();
        let left = 2;
        return { next: async () => ({ done: left-- === 0, value: [opener, who()] }) };
      },
    }));
    const seen = [];
    for await (const item of iterable) seen.push(item);
    expect(seen).toEqual([
      ['a', 'a'],
      ['a', 'a'],
    ]);
  });

  it('an async iterable that several contexts share, for each of them', async () => {
    const shared = {
      name: 'feed',
      async *[Symbol.asyncIterator]() {
        yield `${this.name}: ${who()}`;
      },
    };
    const bound = ['a', 'b'].map((tenantId) => tenantContext(tenantId, () => keepContext(shared)));
    const read = async (iterable: AsyncIterable<string>) => {
      for await (const line of iterable) return line;
    };
    expect(await Promise.all([...bound, shared].map(read))).toEqual(['feed: a', 'feed: b', 'feed: nobody']);
    expect(bound[0]).toEqual(expect.objectContaining({ name: 'feed' }));
  });

  it('a promise of any of them', async () => {
    const generator = await inTenant(() => Promise.resolve(lines()));
    expect((await generator.next()).value).toBe('a');
  });

  it.each([
    ['a stream', (source: Readable) => source],
    ['a StreamableFile', (source: Readable) => new StreamableFile(source)],
    ['a stream behind another', (source: Readable) => source.pipe(upperCase())],
  ])('%s whose generator runs on read', async (_name, wrap) => {
    const cleanedUpFor: string[] = [];
    // One byte of buffer, so that every piece is asked for by the reader.
    const body = inTenant(() =>
      wrap(Readable.from(lines(cleanedUpFor), { highWaterMark: 1, objectMode: false })),
    );
    const stream = body instanceof StreamableFile ? body.getStream() : body;
    const read = await tenantContext('b', () => text(stream));
    expect(read.toLowerCase()).toBe('aaa');
    expect(cleanedUpFor).toEqual(['a']);
  });

  it('a stream that is destroyed half-way', async () => {
    const cleanedUpFor: string[] = [];
    const stream = inTenant(() => Readable.from(lines(cleanedUpFor, 1000)));
    for await (const line of stream) {
      expect(line).toBe('a');
      break;
    }
    await delay(5);
    expect(cleanedUpFor).toEqual(['a']);
  });

  it('a web stream and a Response', async () => {
    const pulled: string[] = [];
    const create = () =>
      new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            pulled.push(who());
            if (pulled.length === 3) controller.close();
            else controller.enqueue(Buffer.from(who()));
          },
        },
        { highWaterMark: 0 },
      );
    const reader = inTenant(create).getReader();
    while (!(await reader.read()).done);
    expect(pulled.splice(0)).toEqual(['a', 'a', 'a']);

    const body = inTenant(() => new Response(create())).body!.getReader();
    while (!(await body.read()).done);
    expect(pulled).toEqual(['a', 'a', 'a']);
  });

  it('an Observable: each subscription, emission and teardown', async () => {
    const tornDownFor: string[] = [];
    const source = inTenant(() =>
      defer(() => of(who())).pipe(
        switchMap((first) => interval(1).pipe(map(() => [first, who()]))),
        finalize(() => tornDownFor.push(who())),
      ),
    );
    const seen = await tenantContext('b', () => firstValueFrom(source.pipe(take(2), toArray())));
    expect(seen).toEqual([
      ['a', 'a'],
      ['a', 'a'],
    ]);
    expect(tornDownFor).toEqual(['a']);
  });

  it('an Observable that emits synchronously without end can be left', async () => {
    const endless = inTenant(() =>
      from(
        (function* () {
          for (;;) yield who();
        })(),
      ),
    );
    expect(await firstValueFrom(endless.pipe(take(3), toArray()))).toEqual(['a', 'a', 'a']);
  });

  it('the emissions of a hot Observable reach the subscriber in its own context', () => {
    const subject = new Subject<void>();
    const seen: string[] = [];
    const subscription = inTenant(() => subject)
      .pipe(map(who))
      .subscribe((line) => seen.push(line));
    tenantContext('b', () => subject.next());
    expect(seen).toEqual(['a']);
    subscription.unsubscribe();
    expect(subject.observed).toBe(false);
  });

  it('errors come through unchanged', async () => {
    const failing = inTenant(async function* () {
      yield 1;
      throw new Error('half-way');
    });
    await failing.next();
    await expect(failing.next()).rejects.toThrow('half-way');
    await expect(
      firstValueFrom(inTenant(() => defer(() => Promise.reject(new Error('late'))))),
    ).rejects.toThrow('late');
  });

  it.each([
    1,
    'text',
    null,
    undefined,
    [1],
    new Map(),
    Buffer.from('a'),
    Object.freeze({ a: 1 }),
    Object.create(null) as object,
  ])('anything else is left as it is: %p', (value) => {
    const before = value && typeof value === 'object' ? Reflect.ownKeys(value) : [];
    expect(inTenant(() => value)).toBe(value);
    expect(value && typeof value === 'object' ? Reflect.ownKeys(value) : []).toEqual(before);
  });
});

describe('keepTenantContext()', () => {
  it('makes operators behind a shared source run for the subscriber, not for whoever emits', async () => {
    const shared = new Subject<number>();
    const query = async (value: number) => {
      await delay(1);
      return `${requireTenantId()}:${value}`;
    };
    const subscribe = (tenantId: string) => {
      const seen: string[] = [];
      tenantContext(tenantId, () =>
        shared.pipe(keepTenantContext(), switchMap(query)).subscribe((line) => seen.push(line)),
      );
      return seen;
    };
    const [a, b] = [subscribe('a'), subscribe('b')];
    tenantContext('c', () => shared.next(1));
    await delay(10);
    expect([a, b]).toEqual([['a:1'], ['b:1']]);
  });
});

function upperCase(): Transform {
  return new Transform({
    highWaterMark: 1,
    transform: (chunk: Buffer, _encoding, done) => done(null, chunk.toString().toUpperCase()),
  });
}

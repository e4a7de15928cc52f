import { get as httpGet, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { PassThrough, pipeline, Readable, Transform } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { Controller, Get, Req, Res, Sse, StreamableFile } from '@nestjs/common';
import { defer, finalize, from, interval, map, Subject, switchMap, take, type Observable } from 'rxjs';
import { AdminScoped, keepTenantContext, TenantOptional } from '../../libs/rls-tenants/src/context/index.js';
import { NEST_MAJOR } from '../support/nest-version.js';
import { eventually, PLATFORMS, startHttpApp, useHttpApp, who, type HttpApp } from './support/http-app.js';

// More than the buffers of a stream and of a socket hold, so that a response has to wait for its reader.
const LINES = 60;
const PADDING = '.'.repeat(32 * 1024);

/** For whom abandoned and finished work was cleaned up. */
const cleanedUp: string[] = [];
const changes = new Subject<string>();

/** Lines that name whom each of them was made for. */
async function* lines(count = LINES): AsyncGenerator<string> {
  try {
    for (let line = 0; line < count; line++) {
      if (line % 3 === 0) await delay(Math.random() * 3);
      yield `${who()} ${PADDING}\n`;
    }
  } finally {
    await delay(0);
    cleanedUp.push(who());
  }
}

const stream = (count?: number) => Readable.from(lines(count), { objectMode: false, highWaterMark: 1 });

const passOn = () =>
  new Transform({
    highWaterMark: 1,
    transform(chunk: Buffer, _encoding, done) {
      done(null, chunk);
    },
  });

type RawResponse = ServerResponse & { raw?: ServerResponse; hijack?: () => void };

@Controller()
class StreamController {
  @Get('file')
  file() {
    return new StreamableFile(stream());
  }

  @Get('late-file')
  async lateFile() {
    await delay(2);
    return new StreamableFile(stream());
  }

  @Get('piped-file')
  pipedFile() {
    return new StreamableFile(pipeline(stream(), passOn(), passOn(), () => undefined));
  }

  @Get('observable-file')
  observableFile() {
    return defer(() => from(delay(1))).pipe(map(() => new StreamableFile(stream())));
  }

  @Get('stream')
  stream() {
    return stream();
  }

  @Get('generator')
  generator() {
    return lines();
  }

  @Get('async-generator')
  async *asyncGenerator() {
    yield* lines();
  }

  @Get('iterable')
  iterable() {
    return { [Symbol.asyncIterator]: () => lines() };
  }

  @Get('web-response')
  webResponse() {
    const source = lines();
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await source.next();
          if (done) controller.close();
          else controller.enqueue(Buffer.from(value));
        },
        cancel: async () => void (await source.return(undefined)),
      },
      { highWaterMark: 0 },
    );
    return new Response(body);
  }

  @Get('raw')
  raw(@Res() response: RawResponse): void {
    response.hijack?.();
    const raw = response.raw ?? response;
    raw.writeHead(200, { 'content-type': 'text/plain' });
    const source = stream();
    raw.once('close', () => source.destroy());
    source.pipe(raw);
  }

  @Get('raw-listeners')
  rawListeners(
    @Req() request: IncomingMessage & { raw?: IncomingMessage },
    @Res() response: RawResponse,
  ): void {
    response.hijack?.();
    const raw = response.raw ?? response;
    (request.raw ?? request).once('close', () => cleanedUp.push(`request: ${who()}`));
    raw.once('finish', () => cleanedUp.push(`response: ${who()}`));
    raw.end('done');
  }

  @AdminScoped('export of everything')
  @Get('admin-file')
  adminFile() {
    return new StreamableFile(stream());
  }

  @TenantOptional()
  @Get('optional-file')
  optionalFile() {
    return new StreamableFile(stream());
  }

  @Sse('sse')
  sse(): Observable<string> {
    return defer(() => [who()]).pipe(
      switchMap((first) => interval(1).pipe(map(() => `${first} ${who()}`))),
      take(20),
      finalize(() => cleanedUp.push(who())),
    );
  }

  @Sse('sse-async')
  async sseAsync(): Promise<Observable<string>> {
    await delay(2);
    return this.sse();
  }

  @Sse('sse-generator')
  sseGenerator(): Observable<string> {
    return from(lines(20)).pipe(map((line) => `${line.split(' ')[0]} ${who()}`));
  }

  @Sse('sse-endless')
  sseEndless(): Observable<string> {
    return interval(1).pipe(
      map(who),
      finalize(() => cleanedUp.push(who())),
    );
  }

  @Sse('sse-shared')
  sseShared(): Observable<string> {
    return changes.pipe(
      keepTenantContext(),
      switchMap(async (change) => {
        await delay(1);
        return `${change} for ${who()}`;
      }),
    );
  }
}

const controllers = [StreamController];
const tenants = ['acme', 'umbrella'];

const makersOf = (body: string) => new Set(body.match(/^.+?(?= \.{9})/gm));
const eventsOf = (body: string) => [...body.matchAll(/^data: (.*)$/gm)].map(([, data]) => data);

const BODIES = [
  '/file',
  '/late-file',
  '/piped-file',
  '/observable-file',
  // NestJS 11 answers with what it makes of these as JSON.
  ...(NEST_MAJOR >= 12 ? ['/stream', '/generator', '/async-generator', '/iterable', '/web-response'] : []),
  '/raw',
];

describe.each(PLATFORMS)('on %s, until the end of the response', (platform) => {
  const app = useHttpApp(platform, { controllers });

  beforeEach(() => {
    cleanedUp.length = 0;
  });

  it.each(BODIES)('%s is made for its tenant, line by line, for two tenants at a time', async (path) => {
    const requests = Array.from({ length: 6 }, (_, index) => tenants[index % 2] as string);
    const bodies = await Promise.all(
      requests.map(async (tenantId) => {
        const response = await app.current.get(path, tenantId);
        expect(response.status).toBe(200);
        return response.text();
      }),
    );
    expect(bodies.map((body) => body.match(/\n/g)?.length)).toEqual(requests.map(() => LINES));
    expect(bodies.map(makersOf)).toEqual(requests.map((tenantId) => new Set([tenantId])));
    await eventually(() => cleanedUp.length === requests.length);
    expect(cleanedUp.toSorted()).toEqual(requests.toSorted());
  });

  it.each(BODIES)('%s that the client abandons half-way is cleaned up for its tenant', async (path) => {
    await abandon(app.current, path, 'acme');
    await eventually(() => cleanedUp.length === 1);
    expect(cleanedUp).toEqual(['acme']);
    expect(makersOf(await (await app.current.get(path, 'umbrella')).text())).toEqual(new Set(['umbrella']));
    expect((await app.current.get(path)).status).toBe(403);
  });

  it('an export as admin stays admin, one without a tenant stays nobody', async () => {
    const read = async (path: string, tenantId?: string) =>
      makersOf(await (await app.current.get(path, tenantId)).text());
    expect(
      await Promise.all([read('/admin-file', 'acme'), read('/optional-file'), read('/file', 'acme')]),
    ).toEqual([new Set(['admin: export of everything']), new Set(['nobody']), new Set(['acme'])]);
  });

  it('listeners that a handler adds to its request and response run for its tenant', async () => {
    expect(await (await app.current.get('/raw-listeners', 'acme')).text()).toBe('done');
    await eventually(() => cleanedUp.length === 2);
    expect(cleanedUp.toSorted()).toEqual(['request: acme', 'response: acme']);
  });

  it.each(['/sse', '/sse-async', '/sse-generator'])('%s: each event is made for its tenant', async (path) => {
    const requests = Array.from({ length: 6 }, (_, index) => tenants[index % 2] as string);
    const bodies = await Promise.all(
      requests.map(async (tenantId) => (await app.current.get(path, tenantId)).text()),
    );
    expect(bodies.map(eventsOf)).toEqual(
      requests.map((tenantId) => Array.from({ length: 20 }, () => `${tenantId} ${tenantId}`)),
    );
    expect(cleanedUp.toSorted()).toEqual(requests.toSorted());
  });

  it('server-sent events that the client abandons are torn down for their tenant', async () => {
    await abandon(app.current, '/sse-endless', 'acme');
    await eventually(() => cleanedUp.length === 1);
    expect(cleanedUp).toEqual(['acme']);
  });

  it('events of a source that tenants share are made for each listener, not for whoever emits', async () => {
    const listeners = await Promise.all(tenants.map((tenantId) => app.current.get('/sse-shared', tenantId)));
    await eventually(() => changes.observed);
    changes.next('change');
    for (const [index, listener] of listeners.entries()) {
      const reader = listener.body!.pipeThrough(new TextDecoderStream()).getReader();
      let received = '';
      while (!received.includes('data:')) received += (await reader.read()).value ?? '';
      expect(eventsOf(received)).toEqual([`change for ${tenants[index]}`]);
      await reader.cancel();
    }
    await eventually(() => !changes.observed);
  });

  it.each(['/sse', '/sse-generator'])(
    '%s without a tenant is refused before its handler runs',
    async (path) => {
      expect(await (await app.current.get(path)).text()).toContain('No tenant');
      expect(await (await app.current.get(path, '')).text()).toContain('Invalid tenant');
      expect(cleanedUp).toEqual([]);
    },
  );

  it.each(['/sse', '/sse-generator'])('%s without a tenant is refused by its status', async (path) => {
    expect((await app.current.get(path)).status).toBe(403);
    expect((await app.current.get(path, '')).status).toBe(400);
  });

  it('a slow refusal of server-sent events is an error event, without a handler', async () => {
    const slow = await startHttpApp(platform, { controllers, context: { authorize: () => delay(5, false) } });
    try {
      const body = await (await slow.get('/sse', 'acme')).text();
      expect(body).toContain('event: error');
      expect(eventsOf(body)).toEqual(['Tenant access denied']);
      expect(cleanedUp).toEqual([]);
    } finally {
      await slow.close();
    }
  });

  it('requests that share a connection, even pipelined, keep their own tenants', async () => {
    const paths = ['/file', '/raw', '/piped-file', BODIES.at(-2) as string, '/optional-file'];
    const requests = paths.flatMap((path) => tenants.map((tenantId) => [path, tenantId] as const));
    const socket = connect(app.current.port, '127.0.0.1');
    for (const [path, tenantId] of requests) {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nX-Tenant-Id: ${tenantId}\r\n\r\n`);
    }
    socket.write('GET /optional-file HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    const bodies = (await text(socket)).split(/^HTTP\/1\.1 /m).slice(1);
    expect(bodies.map((body) => [...makersOf(body)])).toEqual([
      ...requests.map(([, tenantId]) => [tenantId]),
      ['nobody'],
    ]);
  });
});

/** Reads the beginning of a response and breaks the connection. */
async function abandon(app: HttpApp, path: string, tenantId: string): Promise<void> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    httpGet(app.url + path, { headers: { 'x-tenant-id': tenantId } }, resolve).once('error', reject);
  });
  const sink = response.pipe(new PassThrough());
  await new Promise((resolve) => sink.once('data', resolve));
  response.destroy();
}

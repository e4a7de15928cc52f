import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Logger, UseFilters, UseInterceptors, type INestApplication } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import {
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  type OnGatewayConnection,
  type OnGatewayInit,
} from '@nestjs/websockets';
import { interval, map, take, type Observable } from 'rxjs';
import type { Server, Socket } from 'socket.io';
import { io, type Socket as ClientSocket } from 'socket.io-client';
import { WebSocket } from 'ws';
import {
  AdminScoped,
  CurrentTenant,
  firstOf,
  fromHeader,
  fromUser,
  RlsTenantsExceptionFilter,
  TenantContext,
  TenantContextInterceptor,
  TenantOptional,
} from '../../libs/rls-tenants/src/index.js';
import { eventually, who } from '../http/support/http-app.js';
import { NEST_MAJOR } from '../support/nest-version.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import {
  A,
  B,
  createNotesDatabase,
  inTurn,
  listen,
  Notes,
  ownersInDatabase,
  rootModule,
} from './support/notes-app.js';

/** NestJS 11 runs no global interceptors for gateways, so that there each of them names it. */
const EnterTenantContext = NEST_MAJOR >= 12 ? () => {} : UseInterceptors(TenantContextInterceptor);

const STRANGER = '00000000-0000-4000-8000-000000000099';

/** Members who may act for a tenant; tests take some away. */
const members = new Set([A, B]);
let authorized: string[] = [];
let logged: string[] = [];

class Handlers {
  constructor(
    @Inject(Notes) private readonly notes: Notes,
    @Inject(TenantContext) protected readonly tenants: TenantContext,
  ) {}

  @SubscribeMessage('owners')
  async owners(@MessageBody() number: number, @CurrentTenant() tenantId: string) {
    return { event: 'owners', data: { number, tenantId, owners: await this.notes.owners() } };
  }

  @SubscribeMessage('stream')
  stream(): Observable<{ event: string; data: string }> {
    return interval(1).pipe(
      map(() => ({ event: 'stream', data: who() })),
      take(3),
    );
  }

  @AdminScoped('support desk')
  @SubscribeMessage('admin')
  async admin() {
    return { event: 'admin', data: (await this.notes.owners()).length };
  }

  @TenantOptional()
  @SubscribeMessage('who')
  who() {
    return { event: 'who', data: who() };
  }

  @SubscribeMessage('steal')
  async steal(@CurrentTenant() tenantId: string) {
    await this.notes.steal(tenantId === A ? B : A);
    return { event: 'steal', data: 'done' };
  }
}

type Authenticated = IncomingMessage & { user?: { tenantId: string } };

@UseFilters(RlsTenantsExceptionFilter)
@EnterTenantContext
@WebSocketGateway()
class SocketIoGateway extends Handlers implements OnGatewayInit, OnGatewayConnection {
  afterInit(server: Server): void {
    // Authenticates as socket.io applications do; the resolver is the one of the HTTP requests.
    server.use((socket, next) => {
      const { tenantId } = socket.handshake.auth as { tenantId?: string };
      if (tenantId) (socket.request as Authenticated).user = { tenantId };
      next();
    });
  }

  async handleConnection(client: Socket): Promise<void> {
    const { mode } = client.handshake.auth as { mode?: string };
    if (mode === 'strict' && !(await this.tenants.resolveClient(client))) client.disconnect(true);
  }

  @SubscribeMessage('again')
  @TenantOptional()
  async again(client: Socket) {
    return { event: 'again', data: (await this.tenants.resolveClient(client)) ?? 'refused' };
  }
}

@UseFilters(RlsTenantsExceptionFilter)
@EnterTenantContext
@WebSocketGateway()
class WsGateway extends Handlers implements OnGatewayConnection {
  async handleConnection(client: WebSocket, request: IncomingMessage): Promise<void> {
    if (request.url === '/?forgotten') return;
    const tenantId = await this.tenants.resolveClient(client, request);
    if (request.url === '/?strict' && tenantId === undefined) client.close(1008);
  }

  @SubscribeMessage('again')
  @TenantOptional()
  async again(client: WebSocket, [tenantId]: [string]) {
    const request = { headers: { 'x-tenant-id': tenantId } };
    return { event: 'again', data: (await this.tenants.resolveClient(client, request)) ?? 'refused' };
  }
}

/** What the tests need of a client: to ask and get the next answer of that event, or the exception. */
interface Client {
  send(event: string, data?: unknown): void;
  ask(event: string, data?: unknown): Promise<unknown>;
  received: { event: string; data: unknown }[];
  closed(): boolean;
  close(): void;
}

const PLATFORMS = {
  'socket.io': {
    gateway: SocketIoGateway,
    adapter: (app: INestApplication) => new IoAdapter(app),
    async connect(port: number, tenantId?: string, mode = ''): Promise<Client> {
      const auth = { mode, ...(tenantId === undefined ? {} : { tenantId }) };
      const socket: ClientSocket = io(`http://127.0.0.1:${port}`, { auth, forceNew: true });
      const client = clientOf(
        (event, data) => socket.emit(event, data),
        () => !socket.connected,
        () => socket.close(),
      );
      socket.onAny((event: string, data: unknown) => client.received.push({ event, data }));
      await new Promise<void>((resolve, reject) =>
        socket.once('connect', resolve).once('connect_error', reject),
      );
      return client;
    },
  },
  ws: {
    gateway: WsGateway,
    adapter: (app: INestApplication) => new WsAdapter(app),
    async connect(port: number, tenantId?: string, mode = ''): Promise<Client> {
      const headers = tenantId === undefined ? {} : { 'x-tenant-id': tenantId };
      const socket = new WebSocket(`ws://127.0.0.1:${port}/?${mode}`, { headers });
      const client = clientOf(
        (event, data) => socket.send(JSON.stringify({ event, data })),
        () => socket.readyState !== WebSocket.OPEN,
        () => socket.close(),
      );
      socket.on('message', (text: Buffer) => client.received.push(JSON.parse(text.toString())));
      await once(socket, 'open');
      return client;
    },
  },
};

function clientOf(
  send: (event: string, data: unknown) => void,
  closed: () => boolean,
  close: () => void,
): Client {
  const received: Client['received'] = [];
  const take = (event: string) => {
    const index = received.findIndex((message) => message.event === event || message.event === 'exception');
    return index < 0 ? undefined : received.splice(index, 1)[0];
  };
  return {
    received,
    closed,
    close,
    send,
    async ask(event, data = 0) {
      send(event, data);
      let answer: { data: unknown } | undefined;
      await eventually(() => (answer ??= take(event)) !== undefined);
      return answer!.data;
    },
  };
}

describe.each(['socket.io', 'ws'] as const)('WebSocket gateways on %s', (platform) => {
  const { gateway, adapter } = PLATFORMS[platform];
  let db: ProtectedDatabase;
  let app: INestApplication;
  let port: number;
  const clients: Client[] = [];

  const connect = async (tenantId?: string, mode?: string): Promise<Client> => {
    const client = await PLATFORMS[platform].connect(port, tenantId, mode);
    clients.push(client);
    return client;
  };

  beforeAll(async () => {
    db = await createNotesDatabase();
    const Root = rootModule(
      db,
      { providers: [gateway] },
      {
        resolveTenant: firstOf(
          fromUser((user: { tenantId: string }) => user.tenantId),
          fromHeader('x-tenant-id'),
        ),
        authorize: async (tenantId) => {
          authorized.push(tenantId);
          await delay(Math.random() * 10);
          return members.has(tenantId);
        },
      },
    );
    ({ app, port } = await listen(Root, (created) => created.useWebSocketAdapter(adapter(created))));
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    await app.close();
    await db.drop();
  });

  beforeEach(() => {
    authorized = [];
    logged = [];
    members.add(A).add(B);
    const log = (...parts: unknown[]) => void logged.push(parts.map(String).join(' '));
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(log);
    jest.spyOn(Logger.prototype, 'error').mockImplementation(log);
  });
  afterEach(() => jest.restoreAllMocks());

  it('messages of two tenants at once see their own rows, the first of each connection too', async () => {
    expect(await ownersInDatabase(db)).toEqual([A, B]);
    const open = await Promise.all(inTurn.slice(0, 8).map((tenantId) => connect(tenantId)));
    const answers = await Promise.all(
      open.flatMap((client) => [1, 2, 3].map((number) => client.ask('owners', number))),
    );
    for (const [index, answer] of answers.entries()) {
      const tenantId = inTurn[Math.floor(index / 3)];
      expect(answer).toMatchObject({ tenantId, owners: [tenantId] });
    }
    // Once a connection, whatever it sends.
    expect(authorized.toSorted()).toEqual(inTurn.slice(0, 8).toSorted());
  });

  it('an Observable that a handler returns keeps its tenant', async () => {
    const [a, b] = await Promise.all([connect(A), connect(B)]);
    a.send('stream', 0);
    b.send('stream', 0);
    await eventually(() => a.received.length === 3 && b.received.length === 3);
    expect([a, b].map(({ received }) => new Set(received.map(({ data }) => data)))).toEqual([
      new Set([A]),
      new Set([B]),
    ]);
  });

  it('@AdminScoped and @TenantOptional hold', async () => {
    const [member, nobody] = await Promise.all([connect(A), connect()]);
    expect(await member.ask('admin')).toBe(2);
    expect(await nobody.ask('admin')).toBe(2);
    expect(await member.ask('who')).toBe(A);
    expect(await nobody.ask('who')).toBe('nobody');
  });

  it('a message without a tenant is refused before its handler runs', async () => {
    const nobody = await connect();
    expect(await nobody.ask('owners')).toEqual({
      status: 'error',
      message: 'No tenant',
      cause: { pattern: 'owners' },
    });
    expect(logged.join()).toMatch(/NoTenantContextError: .*needs one/);
  });

  it.each([
    [STRANGER, 'Tenant access denied'],
    ['no-uuid', 'Invalid tenant'],
  ])('a client that asks for %s is told nothing but: %s', async (tenantId, message) => {
    const client = await connect(tenantId);
    const answer = await client.ask('owners');
    expect(answer).toMatchObject({ status: 'error', message });
    expect(JSON.stringify(answer)).not.toContain(tenantId);
    expect(await client.ask('who')).toMatchObject({ status: 'error', message });
    expect(logged.join()).toContain(tenantId);
  });

  it('a write that the policy refuses is an exception without a detail', async () => {
    const client = await connect(A);
    const answer = await client.ask('steal');
    expect(answer).toEqual({ status: 'error', message: 'Access denied', cause: { pattern: 'steal' } });
    expect(logged.join()).toMatch(/RlsViolationError: .*row-level security/s);
    expect(await db.asSuperuser(`SELECT FROM note WHERE body = 'stolen'`)).toEqual([]);
    expect(await client.ask('owners')).toMatchObject({ owners: [A] });
  });

  it('resolveClient() again: a client that was put out is refused from then on', async () => {
    const client = await connect(A);
    expect(await client.ask('owners')).toMatchObject({ owners: [A] });
    members.delete(A);
    expect(await client.ask('owners')).toMatchObject({ owners: [A] });
    expect(await client.ask('again', [A])).toBe('refused');
    expect(await client.ask('owners')).toMatchObject({ message: 'Tenant access denied' });
    members.add(A);
    expect(await client.ask('owners')).toMatchObject({ owners: [A] });
  });

  if (platform === 'ws') {
    it('resolveClient() with another request switches the tenant', async () => {
      const client = await connect(A);
      expect(await client.ask('again', [B])).toBe(B);
      expect(await client.ask('owners')).toMatchObject({ owners: [B] });
    });

    it('a gateway that passes no request on serves nobody, and the log says what is missing', async () => {
      const client = await connect(A, 'forgotten');
      expect(await client.ask('owners')).toMatchObject({ message: 'No tenant' });
      expect(logged.join()).toContain('handleConnection(client, request)');
      expect(await client.ask('who')).toBe('nobody');
    });
  }

  it('a gateway may close the connection of a client that was refused', async () => {
    const [refused, accepted] = await Promise.all([connect(STRANGER, 'strict'), connect(B, 'strict')]);
    await eventually(() => refused.closed());
    expect(await accepted.ask('owners')).toMatchObject({ owners: [B] });
    expect(logged.join()).toContain(STRANGER);
  });
});

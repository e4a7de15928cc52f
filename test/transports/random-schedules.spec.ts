import 'reflect-metadata';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import {
  Controller,
  Get,
  Inject,
  Module,
  Param,
  ParseIntPipe,
  UseInterceptors,
  type INestApplication,
  type ModuleMetadata,
} from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { Args, GraphQLModule, Int, Query, Resolver } from '@nestjs/graphql';
import { MercuriusDriver, type MercuriusDriverConfig } from '@nestjs/mercurius';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  type OnGatewayConnection,
} from '@nestjs/websockets';
import pg from 'pg';
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';
import {
  fromHeader,
  RlsTenantsModule,
  TenantContext,
  tenantContext,
  TenantContextInterceptor,
} from '../../libs/rls-tenants/src/index.js';
import { NEST_MAJOR } from '../support/nest-version.js';
import { Note, Notebook, NOTES, Tag, tenant } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { runSchedule } from '../support/schedule.js';
import { Works } from '../support/works.js';
import { dataSourceOf, listen } from './support/notes-app.js';

const TENANTS = 50;
const ACTORS = 8;
// SCHEDULE_SEED replays a failing run; HANDLER_SCHEDULE_OPERATIONS makes it a soak.
const seed = Number(process.env.SCHEDULE_SEED ?? Math.floor(Math.random() * 1e6));
const operations = Number(process.env.HANDLER_SCHEDULE_OPERATIONS ?? 1_000);

/** NestJS 11 runs no global interceptors for gateways, so that there each of them names it. */
const EnterTenantContext = NEST_MAJOR >= 12 ? () => {} : UseInterceptors(TenantContextInterceptor);

@Controller()
class WorkController {
  constructor(@Inject(Works) private readonly works: Works) {}

  @Get('work/:n')
  async work(@Param('n', ParseIntPipe) n: number): Promise<string> {
    await this.works.run(n);
    return 'done';
  }
}

@Resolver()
class WorkResolver {
  constructor(@Inject(Works) private readonly works: Works) {}

  @Query(() => Boolean)
  async work(@Args('n', { type: () => Int }) n: number): Promise<boolean> {
    await this.works.run(n);
    return true;
  }
}

@EnterTenantContext
@WebSocketGateway()
class WorkGateway implements OnGatewayConnection {
  constructor(
    @Inject(Works) private readonly works: Works,
    @Inject(TenantContext) private readonly tenants: TenantContext,
  ) {}

  async handleConnection(client: object, request?: IncomingMessage): Promise<void> {
    // Of socket.io the handshake is in the client itself.
    if (request) await this.tenants.resolveClient(client, request);
  }

  @SubscribeMessage('work')
  async work(@MessageBody() n: number): Promise<void> {
    await this.works.run(n);
  }
}

/** Asks the application to run an operation for a tenant. */
type Send = (tenantId: string, n: number) => Promise<unknown>;

interface Transport {
  metadata: ModuleMetadata;
  http?: () => AbstractHttpAdapter;
  configure?: (app: INestApplication) => void;
  connect(port: number, closing: (() => unknown)[]): Send;
}

const headersOf = (tenantId: string) => ({ 'x-tenant-id': tenantId });

const overHttp: Transport['connect'] = (port) => async (tenantId, n) => {
  const response = await fetch(`http://127.0.0.1:${port}/work/${n}`, { headers: headersOf(tenantId) });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
};

const overGraphql: Transport['connect'] = (port) => async (tenantId, n) => {
  const response = await fetch(`http://127.0.0.1:${port}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headersOf(tenantId) },
    body: JSON.stringify({ query: `{ work(n: ${n}) }` }),
  });
  const { data, errors } = (await response.json()) as { data?: { work: boolean }; errors?: unknown };
  if (data?.work !== true) throw new Error(JSON.stringify(errors));
};

/** One open client for each tenant. */
const perTenant = <Client>(connect: (tenantId: string) => Promise<Client>) => {
  const clients = new Map<string, Promise<Client>>();
  return (tenantId: string) => {
    if (!clients.has(tenantId)) clients.set(tenantId, connect(tenantId));
    return clients.get(tenantId)!;
  };
};

const TRANSPORTS: Record<string, Transport> = {
  'HTTP on Express': { metadata: { controllers: [WorkController] }, connect: overHttp },
  'HTTP on Fastify': {
    metadata: { controllers: [WorkController] },
    http: () => new FastifyAdapter(),
    connect: overHttp,
  },
  'GraphQL on Apollo': {
    metadata: {
      imports: [
        GraphQLModule.forRoot<ApolloDriverConfig>({
          driver: ApolloDriver,
          autoSchemaFile: true,
          graphiql: false,
        }),
      ],
      providers: [WorkResolver],
    },
    connect: overGraphql,
  },
  'GraphQL on Mercurius': {
    metadata: {
      imports: [
        GraphQLModule.forRoot<MercuriusDriverConfig>({ driver: MercuriusDriver, autoSchemaFile: true }),
      ],
      providers: [WorkResolver],
    },
    http: () => new FastifyAdapter(),
    connect: overGraphql,
  },
  'socket.io': {
    metadata: { providers: [WorkGateway] },
    configure: (app) => void app.useWebSocketAdapter(new IoAdapter(app)),
    connect(port, closing) {
      const clientOf = perTenant(async (tenantId) => {
        const socket = io(`http://127.0.0.1:${port}`, { extraHeaders: headersOf(tenantId), forceNew: true });
        closing.push(() => socket.close());
        await new Promise<void>((resolve, reject) =>
          socket.once('connect', resolve).once('connect_error', reject),
        );
        return socket;
      });
      return async (tenantId, n) => (await clientOf(tenantId)).emit('work', n);
    },
  },
  ws: {
    metadata: { providers: [WorkGateway] },
    configure: (app) => void app.useWebSocketAdapter(new WsAdapter(app)),
    connect(port, closing) {
      const clientOf = perTenant(async (tenantId) => {
        const socket = new WebSocket(`ws://127.0.0.1:${port}`, { headers: headersOf(tenantId) });
        closing.push(() => socket.close());
        await once(socket, 'open');
        return socket;
      });
      return async (tenantId, n) => {
        const client = await clientOf(tenantId);
        client.send(JSON.stringify({ event: 'work', data: n }));
      };
    },
  },
};

describe(`random schedules, seed ${seed}, in handlers`, () => {
  let db: ProtectedDatabase;
  let operator: pg.Pool;
  const closing: (() => unknown)[] = [];

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    operator = new pg.Pool({ connectionString: db.url(), max: 2 });
    const dataSource = await db.isolated({});
    for (let n = 1; n <= TENANTS; n += 1) {
      await tenantContext(tenant(n), async () => {
        const tags = await dataSource.getRepository(Tag).save([{ name: 'red' }, { name: 'blue' }]);
        const notes = [1, 2, 3].map((note) => Object.assign(new Note(), { body: `note ${note}`, tags }));
        await dataSource.getRepository(Notebook).save({ title: 'book', notes });
      });
    }
    await dataSource.destroy();
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });
  afterAll(async () => {
    await operator.end();
    await db.drop();
  });

  it.each(Object.keys(TRANSPORTS))(
    'of %s',
    async (name) => {
      const { metadata, http = () => new ExpressAdapter(), configure, connect } = TRANSPORTS[name]!;
      const works = new Works();
      @Module({
        ...metadata,
        imports: [
          TypeOrmModule.forRoot({
            type: 'postgres',
            url: db.url('app'),
            entities: NOTES,
            poolSize: 3,
            retryAttempts: 0,
          }),
          RlsTenantsModule.forRoot({
            tenantIdType: 'uuid',
            adminRole: db.roles.admin,
            onMissingTenant: 'empty',
            resolveTenant: fromHeader('x-tenant-id'),
            authorize: () => true,
          }),
          ...(metadata.imports ?? []),
        ],
        providers: [{ provide: Works, useValue: works }, ...(metadata.providers ?? [])],
      })
      class AppModule {}
      const { app, port } = await listen(AppModule, configure, http());
      const send = connect(port, closing);
      closing.push(() => app.close());

      const result = await runSchedule({
        dataSource: dataSourceOf(app),
        operator,
        seed,
        operations,
        tenants: TENANTS,
        actors: ACTORS,
        enter: (tenantId, work) => works.send(work, (n) => send(tenantId, n)),
      });
      expect(result.wrong).toEqual([]);
      expect(result.operations).toBeGreaterThanOrEqual(operations);
      expect(result.rows).toBeGreaterThan(operations); // nobody was shown emptiness instead of isolation
    },
    300_000,
  );
});

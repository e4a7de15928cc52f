import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Logger, type INestApplication, type MiddlewareConsumer, type NestModule } from '@nestjs/common';
import { GraphQLModule, GraphQLSchemaHost } from '@nestjs/graphql';
import { MercuriusDriver, type MercuriusDriverConfig } from '@nestjs/mercurius';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { graphql as executeGraphql, parse, subscribe, type ExecutionResult } from 'graphql';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import {
  fromUser,
  RlsTenantsExceptionFilter,
  TenantContext,
  tenantContext,
  TenantContextMiddleware,
  type RlsTenantsOptions,
} from '../../libs/rls-tenants/src/index.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import { createLoader, forgetSharedLoader, pubSub, RESOLVERS, seen } from './support/graphql-app.js';
import {
  A,
  B,
  createNotesDatabase,
  inTurn,
  listen,
  Notes,
  NotesModule,
  ownersInDatabase,
  rootModule,
} from './support/notes-app.js';

interface Answer {
  // oxlint-disable-next-line typescript/no-explicit-any
  data?: any;
  errors?: { message: string; extensions?: { code?: string } }[];
}

/** Options of GraphQLModule that a test adds. */
type Overrides = (tenants: TenantContext) => object;

const DRIVERS = {
  apollo: (overrides: Overrides) =>
    GraphQLModule.forRootAsync<ApolloDriverConfig>({
      driver: ApolloDriver,
      imports: [NotesModule],
      inject: [Notes, TenantContext],
      useFactory: (notes: Notes, tenants: TenantContext) => ({
        autoSchemaFile: true,
        graphiql: false,
        subscriptions: { 'graphql-ws': true },
        context: ({ req, extra }: { req?: object; extra?: { request: object } }) => ({
          req: req ?? extra?.request,
          loader: createLoader(notes),
        }),
        ...overrides(tenants),
      }),
    }),
  mercurius: (overrides: Overrides) =>
    GraphQLModule.forRootAsync<MercuriusDriverConfig>({
      driver: MercuriusDriver,
      imports: [NotesModule],
      inject: [Notes, TenantContext],
      useFactory: (notes: Notes, tenants: TenantContext) => ({
        autoSchemaFile: true,
        subscription: true,
        context: () => ({ loader: createLoader(notes) }),
        ...overrides(tenants),
      }),
    }),
};

/** Authenticate by `connectionParams`: there the tenant is refused at once, here with the first operation. */
const CONNECTING = {
  apollo: (tenants: TenantContext) => ({
    subscriptions: {
      'graphql-ws': {
        async onConnect({ connectionParams, extra }: ConnectingContext) {
          extra.request.user = { tenantId: connectionParams.token };
          return (await tenants.resolveClient(extra.request, extra.request)) !== undefined;
        },
      },
    },
  }),
  mercurius: () => ({
    subscription: {
      onConnect: ({ payload }: { payload: { token: string } }) => ({
        req: { user: { tenantId: payload.token } },
      }),
    },
  }),
};

interface ConnectingContext {
  connectionParams: { token: string };
  extra: { request: IncomingMessage & { user?: object } };
}

const ADAPTERS = { apollo: () => new ExpressAdapter(), mercurius: () => new FastifyAdapter() };

describe.each(['apollo', 'mercurius'] as const)('GraphQL on %s', (driver) => {
  let db: ProtectedDatabase;
  let authorized: string[] = [];
  let logged: string[] = [];

  beforeAll(async () => {
    db = await createNotesDatabase();
  });
  afterAll(() => db.drop());

  beforeEach(() => {
    seen.length = 0;
    authorized = [];
    logged = [];
    const log = (...parts: unknown[]) => void logged.push(parts.map(String).join(' '));
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(log);
    jest.spyOn(Logger.prototype, 'error').mockImplementation(log);
  });
  afterEach(() => jest.restoreAllMocks());

  interface Started {
    app: INestApplication;
    query(text: string, tenantId?: string): Promise<Answer>;
    client(tenantId?: string, connectionParams?: Record<string, unknown>): ReturnType<typeof createClient>;
  }

  function useGraphql(
    options: { graphql?: Overrides; context?: Partial<RlsTenantsOptions>; middleware?: boolean } = {},
  ): Started {
    let app: INestApplication;
    let port: number;
    const clients: ReturnType<typeof createClient>[] = [];
    beforeAll(async () => {
      const Root = rootModule(
        db,
        { imports: [DRIVERS[driver](options.graphql ?? (() => ({})))], providers: RESOLVERS },
        {
          authorize: async (tenantId) => {
            authorized.push(tenantId);
            await delay(Math.random() * 2);
            return tenantId === A || tenantId === B;
          },
          ...options.context,
        },
      );
      if (options.middleware) {
        (Root.prototype as NestModule).configure = (consumer: MiddlewareConsumer) =>
          void consumer.apply(TenantContextMiddleware).forRoutes('{*path}');
      }
      ({ app, port } = await listen(
        Root,
        (created) => created.useGlobalFilters(new RlsTenantsExceptionFilter(created.getHttpAdapter())),
        ADAPTERS[driver](),
      ));
    });
    afterAll(async () => {
      for (const client of clients) await client.dispose();
      await app.close();
    });
    return {
      get app() {
        return app;
      },
      async query(text, tenantId) {
        const response = await fetch(`http://127.0.0.1:${port}/graphql`, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            ...(tenantId === undefined ? {} : { 'x-tenant-id': tenantId }),
          },
          body: JSON.stringify({ query: text }),
        });
        return (await response.json()) as Answer;
      },
      client(tenantId, connectionParams = {}) {
        const headers = tenantId === undefined ? {} : { 'x-tenant-id': tenantId };
        class Socket extends WebSocket {
          constructor(url: string, protocols: string) {
            super(url, protocols, { headers });
          }
        }
        const client = createClient({
          url: `ws://127.0.0.1:${port}/graphql`,
          webSocketImpl: Socket,
          lazy: true,
          connectionParams,
          retryAttempts: 0,
        });
        clients.push(client);
        return client;
      },
    };
  }

  describe('with nothing but RlsTenantsModule', () => {
    const graphql = useGraphql();

    it('a subscription that is the first operation of all: filter, resolve and rows are its tenant’s', async () => {
      const received = inTurn.slice(0, 4).map((tenantId) => {
        const events = graphql.client(tenantId).iterate<{ added: { tenantId: string; body: string } }>({
          query: 'subscription { added { tenantId body } }',
        });
        return { tenantId, next: events.next(), events };
      });
      await subscribers('added', 4);
      await Promise.all([
        graphql.query('mutation { add(body: "new") { body } }', A),
        graphql.query('mutation { add(body: "new") { body } }', B),
      ]);
      for (const { tenantId, next, events } of received) {
        const { value } = await next;
        expect(value).toEqual({ data: { added: { tenantId, body: `new of ${tenantId}` } } });
        await events.return?.(undefined);
      }
      expect(new Set(seen)).toEqual(
        new Set([A, B].flatMap((tenantId) => [`filter for ${tenantId}`, `resolve for ${tenantId}`])),
      );
      expect(authorized.toSorted()).toEqual([A, A, A, B, B, B].toSorted());
    });

    it('fields below an event that all subscribers get are each subscriber’s own', async () => {
      const received = [A, B, A, B].map((tenantId) => {
        const events = graphql.client(tenantId).iterate<object>({
          query: 'subscription { moved { name owners inner { owners } } }',
        });
        return { tenantId, next: events.next(), events };
      });
      await subscribers('moved', 4);
      await pubSub.publish('moved', { moved: { name: 'one' } });
      for (const { tenantId, next, events } of received) {
        const owners = [tenantId];
        expect((await next).value).toEqual({
          data: { moved: { name: 'one', owners, inner: { owners } } },
        });
        await events.return?.(undefined);
      }
    });

    it('a subscription without a tenant is refused', async () => {
      const events = graphql.client().iterate({ query: 'subscription { added { body } }' });
      const refusal: unknown = await events.next().then(
        ({ value }) => value,
        (error: unknown) => error,
      );
      expect(JSON.stringify(refusal)).toContain('No tenant');
      expect(JSON.stringify(refusal)).not.toContain('hint');
    });

    it('queries and mutations of two tenants at once see and write their own rows', async () => {
      expect(await ownersInDatabase(db)).toEqual([A, B]);
      const answers = await Promise.all(
        inTurn.map((tenantId, index) =>
          graphql.query(
            index % 3 ? '{ list { tenantId } }' : 'mutation { add(body: "m") { tenantId } }',
            tenantId,
          ),
        ),
      );
      for (const [index, { data, errors }] of answers.entries()) {
        expect(errors).toBeUndefined();
        const rows: { tenantId: string }[] = index % 3 ? data.list : [data.add];
        expect(rows.length).toBeGreaterThan(0);
        expect([...new Set(rows.map(({ tenantId }) => tenantId))]).toEqual([inTurn[index]]);
      }
    });

    it('field resolvers, and those below them, run for the tenant of their query', async () => {
      const answers = await Promise.all(
        inTurn.map((tenantId) =>
          graphql.query('{ shelves { name owners inner { owners inner { owners } } } }', tenantId),
        ),
      );
      for (const [index, { data, errors }] of answers.entries()) {
        const owners = [inTurn[index]];
        expect(errors).toBeUndefined();
        expect(data.shelves).toEqual(
          ['one', 'two'].map((name) => ({ name, owners, inner: { owners, inner: { owners } } })),
        );
      }
    });

    it('a lazy relation that graphql-js reads off an entity is loaded for the tenant', async () => {
      const answers = await Promise.all(
        inTurn.map((tenantId) => graphql.query('{ entities { body archive { tenantId } } }', tenantId)),
      );
      for (const [index, { data, errors }] of answers.entries()) {
        expect(errors).toBeUndefined();
        expect(data.entities).toEqual([{ body: 'archived', archive: { tenantId: inTurn[index] } }]);
      }
    });

    it('the tenant is resolved once for an operation of several fields', async () => {
      await graphql.query('{ a: list { body } b: list { body } shelves { owners } }', A);
      expect(authorized).toEqual([A]);
    });

    it('each query of an operation counts for the fields below it: as admin, for the tenant, for nobody', async () => {
      const { data } = await graphql.query('{ allShelves { owners } shelves { owners } }', A);
      expect(data.allShelves).toEqual([{ owners: expect.arrayContaining([A, B]) }]);
      expect(data.shelves).toEqual([{ owners: [A] }, { owners: [A] }]);
      const nobody = await graphql.query('{ allShelves { owners } publicShelves { name } }');
      expect(nobody.errors).toBeUndefined();
      const below = await graphql.query('{ publicShelves { owners } }');
      expect(below.errors?.[0]).toMatchObject({ message: 'No tenant', extensions: { code: 'FORBIDDEN' } });
    });

    it('a DataLoader of the request loads for its tenant', async () => {
      const answers = await Promise.all(
        inTurn.map((tenantId) => graphql.query('{ shelves { loaded } }', tenantId)),
      );
      for (const [index, { data }] of answers.entries()) {
        expect(data.shelves.map(({ loaded }: { loaded: string[] }) => loaded)).toEqual([
          ['one', inTurn[index]],
          ['two', inTurn[index]],
        ]);
      }
      expect(seen.filter((text) => text.startsWith('batch of 2'))).toHaveLength(inTurn.length);
    });

    it('a DataLoader that requests share hands one tenant’s values to another: never share one', async () => {
      forgetSharedLoader();
      await graphql.query('{ shelves { loadedTogether } }', A);
      const { data } = await graphql.query('{ shelves { loadedTogether } }', B);
      expect(data.shelves[0].loadedTogether).toEqual(['one', A]);
      expect(seen).toEqual([`batch of 2 for ${A}`]);
      // Nor does another key help: keys that are asked for at once are one batch, of whoever asked first.
      const loader = createLoader(graphql.app.get(Notes, { strict: false }));
      const load = (tenantId: string, key: string) => tenantContext(tenantId, () => loader.load(key));
      expect(await Promise.all([load(A, 'x'), load(B, 'y')])).toEqual([
        ['x', A],
        ['y', A],
      ]);
    });

    it('a refusal has a code and a word, and nothing of what the log has', async () => {
      const cases: [string, string | undefined, string, string][] = [
        ['{ list { body } }', undefined, 'No tenant', 'FORBIDDEN'],
        ['{ list { body } }', 'no-uuid', 'Invalid tenant', 'BAD_REQUEST'],
        ['{ list { body } }', '00000000-0000-4000-8000-000000000099', 'Tenant access denied', 'FORBIDDEN'],
        ['{ guarded }', A, 'Internal server error', 'INTERNAL_SERVER_ERROR'],
        ['mutation { steal }', A, 'Access denied', 'FORBIDDEN'],
        ['{ shelves { theft } }', A, 'Access denied', 'FORBIDDEN'],
      ];
      for (const [query, tenantId, message, code] of cases) {
        logged = [];
        const { errors } = await graphql.query(query, tenantId);
        expect(errors?.[0]).toMatchObject({ message, extensions: { code } });
        const text = JSON.stringify(errors);
        expect(text).not.toMatch(/note|row-level|policy|INSERT|hint|0000-4000|no-uuid/i);
        expect(logged.join('\n')).toMatch(/Error: .+\. .+/);
      }
      expect(logged.join('\n')).toMatch(/row-level security/);
      expect(await ownersInDatabase(db)).toEqual([A, B]);
      const stolen = await db.asSuperuser(`SELECT FROM note WHERE body = 'stolen' AND tenant_id = '${B}'`);
      expect(stolen).toEqual([]);
    });
  });

  describe('behind TenantContextMiddleware', () => {
    const graphql = useGraphql({ middleware: true });

    it('the tenant that it resolved is used, once a request', async () => {
      const answers = await Promise.all(
        inTurn.map((tenantId) => graphql.query('{ list { tenantId } shelves { owners } }', tenantId)),
      );
      for (const [index, { data }] of answers.entries()) {
        expect(data.shelves[0].owners).toEqual([inTurn[index]]);
      }
      expect(authorized).toHaveLength(inTurn.length);
    });
  });

  describe('with interceptors on field resolvers', () => {
    const graphql = useGraphql({
      graphql: () => ({ fieldResolverEnhancers: ['interceptors', 'filters'] }),
    });

    it('they run for the query above them', async () => {
      const answers = await Promise.all(
        inTurn.map((tenantId) =>
          graphql.query('{ shelves { owners inner { owners } } allShelves { owners } }', tenantId),
        ),
      );
      for (const [index, { data }] of answers.entries()) {
        const owners = [inTurn[index]];
        expect(data.shelves[0]).toEqual({ owners, inner: { owners } });
        expect(data.allShelves[0].owners).toHaveLength(2);
      }
      expect(authorized).toHaveLength(inTurn.length);
    });
  });

  describe('with a tenant in what the client sends to open the connection', () => {
    const graphql = useGraphql({
      graphql: (tenants) => CONNECTING[driver](tenants),
      context: { resolveTenant: fromUser((user: { tenantId: string }) => user.tenantId) },
    });

    it('two subscribers of two tenants get their own', async () => {
      const received = [A, B].map((tenantId) => {
        const events = graphql
          .client(undefined, { token: tenantId })
          .iterate<object>({ query: 'subscription { moved { owners } }' });
        return { tenantId, next: events.next(), events };
      });
      await subscribers('moved', 2);
      await pubSub.publish('moved', { moved: { name: 'one' } });
      for (const { tenantId, next, events } of received) {
        expect((await next).value).toEqual({ data: { moved: { owners: [tenantId] } } });
        await events.return?.(undefined);
      }
      expect(authorized.toSorted()).toEqual([A, B]);
    });

    it('a client that was refused gets nothing', async () => {
      const events = graphql
        .client(undefined, { token: '00000000-0000-4000-8000-000000000099' })
        .iterate<object>({ query: 'subscription { moved { owners } }' });
      const refusal: unknown = await events.next().then(
        ({ value }) => value,
        ({ code, reason, ...error }: Record<string, unknown>) => ({ code, reason, ...error }),
      );
      expect(JSON.stringify(refusal)).toMatch(/Forbidden|Tenant access denied/);
      expect(logged.join()).toContain('`authorize` refused');
    });
  });

  if (driver === 'mercurius') {
    describe('with queries that graphql-jit compiles', () => {
      const graphql = useGraphql({ graphql: () => ({ jit: 1 }) });

      it('fields run for the query above them', async () => {
        for (let round = 0; round < 2; round++) {
          const answers = await Promise.all(
            inTurn.map((tenantId) =>
              graphql.query('{ shelves { owners inner { owners } loaded } allShelves { owners } }', tenantId),
            ),
          );
          for (const [index, { data, errors }] of answers.entries()) {
            const owners = [inTurn[index]];
            expect(errors).toBeUndefined();
            expect(data.shelves[1]).toEqual({ owners, inner: { owners }, loaded: ['two', ...owners] });
            expect(data.allShelves[0].owners).toHaveLength(2);
          }
        }
      });
    });
  }

  describe('code that executes the schema by itself', () => {
    const graphql = useGraphql();
    const execute = (contextValue: object) =>
      executeGraphql({
        schema: graphql.app.get(GraphQLSchemaHost).schema,
        source: '{ list { tenantId } shelves { owners } }',
        contextValue,
      });

    it('is refused where the context has no request, and says in the log what to do', async () => {
      const { errors } = await execute({});
      expect(errors?.map(({ message }) => message)).toEqual(['No tenant']);
      expect(logged.join()).toContain('return the request as `req`');
    });

    it('runs in the tenant context that it entered', async () => {
      const answers = await Promise.all(inTurn.map((tenantId) => tenantContext(tenantId, () => execute({}))));
      for (const [index, { data }] of answers.entries()) {
        const owners = [inTurn[index]];
        expect(data).toMatchObject({ shelves: [{ owners }, { owners }] });
      }
    });

    it('subscriptions of two tenants that share one context object are refused', async () => {
      const contextValue = {};
      const start = () =>
        subscribe({
          schema: graphql.app.get(GraphQLSchemaHost).schema,
          document: parse('subscription { moved { owners } }'),
          contextValue,
        });
      const first = (await tenantContext(A, start)) as AsyncGenerator<ExecutionResult>;
      expect(await tenantContext(B, start)).toMatchObject({ errors: [{ message: 'Internal server error' }] });
      expect(logged.join()).toContain('share one context object');
      const next = first.next();
      await pubSub.publish('moved', { moved: { name: 'one' } });
      expect(await next).toMatchObject({ value: { errors: [{ message: 'Internal server error' }] } });
      await first.return(undefined);
    });
  });
});

async function subscribers(topic: string, count: number): Promise<void> {
  const { ee } = pubSub as unknown as { ee: NodeJS.EventEmitter };
  const deadline = Date.now() + 3_000;
  while (ee.listenerCount(topic) < count) {
    if (Date.now() > deadline) throw new Error(`Only ${ee.listenerCount(topic)} subscribed to ${topic}.`);
    await delay(5);
  }
}

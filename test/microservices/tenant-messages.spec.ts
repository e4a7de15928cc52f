import { setTimeout as sleep } from 'node:timers/promises';
import {
  Catch,
  Controller,
  Get,
  Inject,
  Module,
  Param,
  type ExceptionFilter,
  type INestApplication,
} from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import {
  BaseRpcContext,
  ClientGrpcProxy,
  ClientKafka,
  ClientMqtt,
  ClientProxy,
  ClientProxyFactory,
  ClientRMQ,
  ClientsModule,
  KafkaContext,
  MqttContext,
  RmqContext,
  Server,
  Transport,
  type ClientProviderOptions,
  type CustomTransportStrategy,
  type MessageHandler,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { connect } from '@nats-io/transport-node';
import { firstValueFrom, map, mergeMap, throwError, toArray, type Observable } from 'rxjs';
import request from 'supertest';
import { adminContext, tenantContext, TenantOptional } from '../../libs/rls-tenants/src/index.js';
import { NoTenantContextError, RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import {
  TenantMessages,
  TenantMessagesModule,
  type TenantMessagesModuleOptions,
  type TenantMessagesOptions,
} from '../../libs/rls-tenants/src/microservices/index.js';
import { who } from '../http/support/http-app.js';
import { hasNats, startNats, type NatsServer } from '../support/nats.js';
import { A, B } from '../support/notes.js';
import { freePort, hasRedis, startRedis, type RedisServer } from '../support/redis.js';
import { BODIES, createTwoTenants, type TwoTenants } from '../support/two-tenants.js';
import { events, KEY, NotesController, notesModules, startService, viewOf } from './support/notes-service.js';

const OLD = { id: 'old', secret: 'o'.repeat(32) };
/** The front: HTTP in, messages out. */
@Controller()
class FrontController {
  constructor(@Inject('NOTES') private readonly client: ClientProxy) {}

  @Get('look/:n') look(@Param('n') n: string): Observable<unknown> {
    // The operators run for the tenant of the request too, whoever opened the connection.
    return this.client.send('look', { n }).pipe(map((view: object) => ({ ...view, here: who() })));
  }

  @Get('unscoped') @TenantOptional() unscoped(): Observable<unknown> {
    return this.client.send('look', {});
  }
}

let notes: TwoTenants;
let redis: RedisServer | undefined;
let nats: NatsServer | undefined;

beforeAll(async () => {
  notes = await createTwoTenants();
  if (hasRedis() || process.env.CI) redis = await startRedis();
  if (hasNats() || process.env.CI) nats = await startNats();
});
afterAll(async () => {
  await notes.db.drop();
  await redis?.stop();
  await nats?.stop();
});

describe('messages over TCP', () => {
  messagesOver(Transport.TCP);
});
describeOn(hasRedis())('messages over Redis', () => {
  messagesOver(Transport.REDIS);
});
describeOn(hasNats())('messages over NATS', () => {
  messagesOver(Transport.NATS);
});

function describeOn(installed: boolean): jest.Describe {
  return installed || process.env.CI ? describe : describe.skip;
}

function messagesOver(transport: Transport.TCP | Transport.REDIS | Transport.NATS): void {
  const open: { close(): unknown }[] = [];
  afterEach(async () => {
    events.splice(0);
    for (const part of open.splice(0).toReversed()) await part.close();
  });

  async function address(): Promise<MicroserviceOptions & ClientProviderOptions> {
    const options = {
      [Transport.TCP]: async () => ({ host: '127.0.0.1', port: await freePort() }),
      [Transport.REDIS]: () => ({ host: '127.0.0.1', port: redis!.port }),
      [Transport.NATS]: () => ({ servers: nats!.servers }),
    };
    return { transport, options: await options[transport]() } as MicroserviceOptions & ClientProviderOptions;
  }

  async function service(
    where: MicroserviceOptions,
    options: Partial<TenantMessagesModuleOptions> = {},
  ): Promise<void> {
    open.push(await startService(notes, where, options));
  }

  function plainClient(where: ClientProviderOptions | MicroserviceOptions): ClientProxy {
    const client = ClientProxyFactory.create(where as ClientProviderOptions);
    open.push(client);
    return client;
  }

  function client(where: MicroserviceOptions, options: Partial<TenantMessagesOptions> = {}): ClientProxy {
    return new TenantMessages({ keys: [KEY], tenantIdType: 'uuid', ...options }).sign(plainClient(where));
  }

  /** A client that sends what another one signed. */
  function replaying(where: MicroserviceOptions, metadata: unknown): ClientProxy {
    if (transport === Transport.NATS) {
      const options = { ...(where.options as object), headers: { ...(metadata as object) } };
      return plainClient({ transport, options });
    }
    const forging = plainClient(where);
    forging.setOnDispatchHook((packet) => void Object.assign(packet, { metadata }));
    return forging;
  }

  /** The metadata that tenant A's message has. */
  async function stolen(where: MicroserviceOptions, pattern: string, data: unknown): Promise<unknown> {
    let metadata: unknown;
    const sender = client(where);
    if (transport === Transport.NATS) {
      const tap = await connect({ servers: nats!.servers });
      open.push(tap);
      tap.subscribe(pattern, {
        callback: (_, { headers }) => {
          metadata = { tenantToken: headers!.get('tenantToken') };
        },
      });
      await tap.flush();
    } else {
      const dispatching = sender as unknown as {
        publish: (packet: { metadata: unknown }, callback: unknown) => unknown;
      };
      const publish = dispatching.publish.bind(sender);
      dispatching.publish = (packet, callback) => {
        metadata = packet.metadata;
        return publish(packet, callback);
      };
    }
    await tenantContext(A, () => firstValueFrom(sender.send(pattern, data)));
    expect(metadata).toEqual({ tenantToken: expect.any(String) });
    return metadata;
  }

  it('run in the context of their sender, interleaved', async () => {
    const where = await address();
    await service(where);
    const sender = client(where);
    const views = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        tenantContext(n % 2 ? A : B, () => firstValueFrom(sender.send('look', { n, gone: undefined }))),
      ),
    );
    expect(views).toEqual(views.map((_, n) => ({ data: { n }, ...viewOf(n % 2 ? A : B) })));
    expect(await notes.all()).toEqual(['of A', 'of B']);
  });

  it.each([[7], ['text'], [[1, { b: 1, a: 2 }]], [{ at: new Date(0) }]])(
    'carry the data %p',
    async (data) => {
      const where = await address();
      await service(where);
      const view = tenantContext(A, () => firstValueFrom(client(where).send('look', data)));
      expect(await view).toEqual({ data: JSON.parse(JSON.stringify(data)), ...viewOf(A) });
    },
  );

  it('have patterns that are objects, too', async () => {
    const where = await address();
    await service(where);
    const send = () => firstValueFrom(client(where).send({ version: 2, cmd: 'look' }, {}));
    expect(await tenantContext(B, send)).toEqual(viewOf(B));
  });

  it.each(['stream', 'generated'])(
    'keep it while what their handler returned goes on: %s',
    async (pattern) => {
      const where = await address();
      await service(where);
      const sender = client(where);
      const all = (tenantId: string) =>
        tenantContext(tenantId, () => firstValueFrom(sender.send(pattern, {}).pipe(toArray())));
      const [a, b] = await Promise.all([all(A), all(B)]);
      expect(a).toEqual([viewOf(A), viewOf(A), viewOf(A)]);
      expect(b).toEqual([viewOf(B), viewOf(B), viewOf(B)]);
    },
  );

  it('that are events run in it as well', async () => {
    const where = await address();
    await service(where);
    const sender = client(where);
    for (let n = 0; n < 10; n += 1) {
      // As fire and forget: nobody subscribes.
      tenantContext(n % 2 ? A : B, () => sender.emit('event', n));
    }
    while (events.length < 10) await sleep(5);
    const expected = Array.from({ length: 10 }, (_, n) => [n, [BODIES[n % 2 ? A : B]]]);
    expect(events).toHaveLength(10);
    expect(events).toEqual(expect.arrayContaining(expected));
  });

  it('are sent for whom send() was called, whoever subscribes, and so are the operators behind them', async () => {
    const where = await address();
    await service(where);
    const sender = client(where);
    // The connection is opened in B's context: its events come from there.
    await tenantContext(B, () => sender.connect());
    const response = tenantContext(A, () =>
      sender
        .send('look', {})
        .pipe(mergeMap(async (view: object) => ({ ...view, here: await notes.bodies() }))),
    );
    const expected = { data: {}, ...viewOf(A), here: ['of A'] };
    expect(await firstValueFrom(response)).toEqual(expected);
    expect(await tenantContext(B, () => firstValueFrom(response))).toEqual(expected);
  });

  it('from a client of the application are signed for the tenant of the request', async () => {
    const where = await address();
    await service(where);
    @Module({
      imports: [
        ...notesModules(notes),
        ClientsModule.register([{ ...where, name: 'NOTES' }]),
        TenantMessagesModule.forRootAsync({ useFactory: () => ({ keys: [KEY] }) }),
      ],
      controllers: [FrontController],
    })
    class FrontModule {}
    const module = await Test.createTestingModule({ imports: [FrontModule] }).compile();
    const app: INestApplication = await module.createNestApplication({ logger: false }).init();
    open.push(app);
    const get = (path: string, tenantId: string) =>
      request(app.getHttpServer()).get(path).set('x-tenant', tenantId);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => get(`/look/${n}`, n % 2 ? A : B)));
    expect(answers.map(({ body }) => body as unknown)).toEqual(
      answers.map((_, n) => {
        const tenantId = n % 2 ? A : B;
        return { data: { n: String(n) }, ...viewOf(tenantId), here: tenantId };
      }),
    );
    expect((await request(app.getHttpServer()).get('/unscoped')).status).toBe(403);
  });

  it.each([
    ['run in it', true],
    ['run for nobody if the application’s interceptors are not inherited', false],
  ])('to a hybrid application %s', async (_, inheritAppConfig) => {
    const where = await address();
    @Module({
      imports: [...notesModules(notes), TenantMessagesModule.forRoot({ keys: [KEY] })],
      controllers: [NotesController],
    })
    class HybridModule {}
    const module = await Test.createTestingModule({ imports: [HybridModule] }).compile();
    const app = module.createNestApplication({ logger: false });
    app.connectMicroservice<MicroserviceOptions>(where, { inheritAppConfig });
    await app.startAllMicroservices();
    await app.init();
    open.push(app);
    const view = await tenantContext(A, () => firstValueFrom(client(where).send('look', {})));
    const forNobody = { who: 'nobody', bodies: 'NoTenantContextError' };
    expect(view).toEqual({ data: {}, ...(inheritAppConfig ? viewOf(A) : forNobody) });
  });

  it('outside of a tenant context are refused before they are sent', async () => {
    const sender = client(await address());
    for (const send of [() => sender.send('look', {}), () => sender.emit('event', {})]) {
      expect(send).toThrow(NoTenantContextError);
      expect(() => adminContext('test', send)).toThrow(NoTenantContextError);
    }
    // What is no message is refused by Nest.
    await expect(firstValueFrom(sender.send('look', undefined))).rejects.toThrow('invalid data');
  });

  it('reach @AdminScoped and @TenantOptional handlers without a token', async () => {
    const where = await address();
    await service(where);
    const plain = plainClient(where);
    expect(await firstValueFrom(plain.send('admin', {}))).toEqual({
      who: 'admin: all notes',
      bodies: ['of A', 'of B'],
    });
    expect(await firstValueFrom(plain.send('optional', {}))).toEqual({
      who: 'nobody',
      bodies: 'NoTenantContextError',
    });
    const signing = client(where);
    const send = (pattern: string) => tenantContext(A, () => firstValueFrom(signing.send(pattern, {})));
    expect(await send('optional')).toEqual(viewOf(A));
    expect(await send('admin')).toMatchObject({ who: 'admin: all notes' });
  });

  it('as admin and for nobody run where both sides allow it', async () => {
    const where = await address();
    await service(where, { allowAdmin: true, allowNobody: true });
    const sender = client(where, { allowAdmin: true, allowNobody: true });
    const look = () => firstValueFrom(sender.send('look', {}));
    expect(await adminContext('report', look)).toMatchObject({
      who: 'admin: report',
      bodies: ['of A', 'of B'],
    });
    expect(await look()).toMatchObject({ who: 'nobody', bodies: 'NoTenantContextError' });
  });

  describe('are refused, and say no more than that,', () => {
    const refusal = { status: 'error', message: 'Invalid tenant' };

    it('without a token, or with a forged one, whatever the handler', async () => {
      const where = await address();
      await service(where);
      const send = (sender: ClientProxy, pattern = 'look') => firstValueFrom(sender.send(pattern, {}));
      await expect(send(plainClient(where))).rejects.toEqual(refusal);
      for (const metadata of [null, {}, 'text', { tenantToken: `v1.new.${btoa(A)}.x` }, { tenantToken: A }]) {
        await expect(send(replaying(where, metadata))).rejects.toEqual(refusal);
      }
      const forged = replaying(where, { tenantToken: 'v1.new.x.x' });
      await expect(send(forged, 'optional')).rejects.toEqual(refusal);
      forged.emit('event', 1);
      plainClient(where).emit('event', 2);
      await sleep(100);
      expect(events).toEqual([]);
    });

    it('with the token of another pattern, or of other data; the same message may be replayed', async () => {
      const where = await address();
      await service(where);
      const metadata = await stolen(where, 'look', { amount: 1 });
      const thief = replaying(where, metadata);
      const send = (pattern: string, data: object) => firstValueFrom(thief.send(pattern, data));
      await expect(send('stream', { amount: 1 })).rejects.toEqual(refusal);
      await expect(send('look', { amount: 1000 })).rejects.toEqual(refusal);
      expect(await send('look', { amount: 1 })).toEqual({ data: { amount: 1 }, ...viewOf(A) });
    });

    it('when they are older than a minute', async () => {
      const where = await address();
      await service(where);
      const metadata = await stolen(where, 'look', {});
      const now = Date.now();
      const clock = jest.spyOn(Date, 'now').mockReturnValue(now + 95_000);
      const late = firstValueFrom(replaying(where, metadata).send('look', {}));
      await expect(late).rejects.toEqual(refusal);
      clock.mockRestore();
    });

    it('when their key was removed; while it is rotated they run', async () => {
      const [rotating, rotated] = [await address(), await address()];
      const send = (where: MicroserviceOptions) =>
        tenantContext(A, () => firstValueFrom(client(where, { keys: [OLD] }).send('look', {})));
      await service(rotating, { keys: [KEY, OLD] });
      expect(await send(rotating)).toEqual({ data: {}, ...viewOf(A) });
      for (const part of open.splice(0).toReversed()) await part.close();
      await service(rotated);
      await expect(send(rotated)).rejects.toEqual(refusal);
    });

    it('when the sender may not act for the tenant', async () => {
      const where = await address();
      const asked: unknown[] = [];
      await service(where, {
        authorize: async (tenantId, message) => {
          await sleep(1);
          asked.push([who(), tenantId, message]);
          return (message.data as { user: string }).user === 'ann';
        },
      });
      const send = (user: string) =>
        tenantContext(A, () => firstValueFrom(client(where).send('look', { user })));
      expect(await send('ann')).toMatchObject(viewOf(A));
      await expect(send('bob')).rejects.toEqual({ status: 'error', message: 'Tenant access denied' });
      expect(asked).toEqual([
        ['nobody', A, { pattern: 'look', data: { user: 'ann' } }],
        ['nobody', A, { pattern: 'look', data: { user: 'bob' } }],
      ]);
    });
  });

  it('a client is signed for once, and by a client that can', async () => {
    const where = await address();
    const messages = new TenantMessages({ keys: [KEY], tenantIdType: 'uuid' });
    const signed = messages.sign(plainClient(where));
    const { send } = signed;
    expect(messages.sign(signed).send).toBe(send);
    expect(
      () => client(where, {}) && new TenantMessages({ keys: [KEY], tenantIdType: 'uuid' }).sign(signed),
    ).toThrow(RlsConfigurationError);
    const old = plainClient(where);
    Object.assign(old, { setOnDispatchHook: undefined });
    expect(() => messages.sign(old)).toThrow('cannot put metadata on a message');
  });
}

describe('over a transport without metadata', () => {
  /** A transport of the test's own: whoever has the object calls its handlers. */
  class DirectTransport extends Server implements CustomTransportStrategy {
    listen(ready: () => void): void {
      ready();
    }
    close(): void {}
    on(): void {}
    unwrap(): never {
      throw new Error('There is nothing below.');
    }

    async call(pattern: string, context: unknown): Promise<unknown> {
      const handler = this.getHandlerByPattern(pattern) as MessageHandler;
      return firstValueFrom(this.transformToObservable(await handler({}, context)));
    }
  }

  @Catch()
  class RethrowingFilter implements ExceptionFilter {
    catch(error: Error): Observable<never> {
      return throwError(() => error);
    }
  }

  it.each<[string, unknown]>([
    ['of its own', new BaseRpcContext([])],
    ['RabbitMQ', new RmqContext([{ properties: { headers: {} } }, {}, 'look'])],
    ['MQTT', new MqttContext(['look', {}])],
    [
      'Kafka',
      new KafkaContext([{ headers: {} } as never, 0, 'look', {} as never, async () => {}, {} as never]),
    ],
    ['gRPC, whose context is its call’s metadata', new Map()],
  ])(
    'messages are refused with an error that says so, unless their handler needs no token: %s',
    async (_, context) => {
      const strategy = new DirectTransport();
      const rethrowing = { provide: APP_FILTER, useClass: RethrowingFilter };
      const app = await startService(notes, { strategy }, {}, { providers: [rethrowing] });
      const call = (pattern: string) => strategy.call(pattern, context);
      await expect(call('look')).rejects.toThrow(RlsConfigurationError);
      await expect(call('look')).rejects.toThrow('NotesController.look is reached over a transport');
      expect(await call('optional')).toEqual({ who: 'nobody', bodies: 'NoTenantContextError' });
      expect(await call('admin')).toMatchObject({ bodies: ['of A', 'of B'] });
      await app.close();
    },
  );

  it.each([
    ['RabbitMQ', ClientRMQ],
    ['MQTT', ClientMqtt],
    ['Kafka', ClientKafka],
    ['gRPC', ClientGrpcProxy],
  ])('no client is signed for: %s', (_, Client) => {
    // Without its options, for which it would load its transport's package.
    const client = Object.create(Client.prototype) as ClientProxy;
    const messages = new TenantMessages({ keys: [KEY], tenantIdType: 'uuid' });
    const sign = () => messages.sign(client);
    expect(sign).toThrow(RlsConfigurationError);
    expect(sign).toThrow(`${Client.name} cannot put metadata on a message`);
  });
});

import { Controller } from '@nestjs/common';
import {
  ClientProxyFactory,
  Ctx,
  EventPattern,
  MessagePattern,
  NatsContext,
  NatsRecordBuilder,
  Payload,
  Transport,
  type ClientProviderOptions,
  type ClientProxy,
  type NatsOptions,
} from '@nestjs/microservices';
import { InjectRepository } from '@nestjs/typeorm';
import { connect, headers, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import { firstValueFrom, lastValueFrom, timeout } from 'rxjs';
import type { Repository } from 'typeorm';
import { tenantContext, withoutTenant } from '../../libs/rls-tenants/src/context/index.js';
import { RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import {
  TenantMessages,
  type TenantMessagesModuleOptions,
  type TenantMessagesOptions,
} from '../../libs/rls-tenants/src/microservices/index.js';
import { hasNats, startNats, type NatsServer } from '../support/nats.js';
import { A, B, Note } from '../support/notes.js';
import { createTwoTenants, type TwoTenants } from '../support/two-tenants.js';
import { KEY, startService, viewNotes, viewOf, type View } from './support/notes-service.js';

type Arrived = View & { data: unknown; subject: string; headers: Record<string, string[]> };

const toRecord = (ofMessage: MsgHdrs | undefined): Record<string, string[]> =>
  Object.fromEntries(ofMessage ?? []);

let instances = 0;
/** What events brought, and to which instance of the service. */
const events: [instance: number, Arrived][] = [];

@Controller()
class SubjectsController {
  private readonly instance = (instances += 1);

  constructor(@InjectRepository(Note) private readonly notes: Repository<Note>) {}

  @MessagePattern('notes.*.look')
  look(@Payload() data: unknown, @Ctx() context: NatsContext): Promise<Arrived> {
    return this.arrived(data, context);
  }

  @MessagePattern('other')
  other(@Payload() data: unknown, @Ctx() context: NatsContext): Promise<Arrived> {
    return this.arrived(data, context);
  }

  @EventPattern('events.>')
  async event(@Payload() data: unknown, @Ctx() context: unknown): Promise<void> {
    events.push([this.instance, await this.arrived(data, context as NatsContext)]);
  }

  private async arrived(data: unknown, context: NatsContext): Promise<Arrived> {
    const { tenantToken: _, ...others } = toRecord(context.getHeaders() as MsgHdrs | undefined);
    return { data, subject: context.getSubject(), headers: others, ...(await viewNotes(this.notes)) };
  }
}

const describeOnNats = hasNats() || process.env.CI ? describe : describe.skip;

describeOnNats('messages over NATS', () => {
  const refusal = { status: 'error', message: 'Invalid tenant' };
  let notes: TwoTenants;
  let nats: NatsServer;
  const open: { close(): unknown }[] = [];

  beforeAll(async () => {
    [notes, nats] = await Promise.all([
      createTwoTenants(),
      startNats('mappings = { "old.*": "notes.$1.look" }'),
    ]);
  });
  afterEach(async () => {
    events.splice(0);
    for (const part of open.splice(0).toReversed()) await part.close();
  });
  afterAll(async () => {
    await notes.db.drop();
    await nats.stop();
  });

  const where = (options: NatsOptions['options'] = {}) => ({
    transport: Transport.NATS as const,
    options: { servers: nats.servers, ...options },
  });

  async function service(
    options: Partial<TenantMessagesModuleOptions> = {},
    at: NatsOptions = where(),
  ): Promise<void> {
    open.push(await startService(notes, at, options, { controllers: [SubjectsController] }));
  }

  function client(options: Partial<TenantMessagesOptions> = {}, at: NatsOptions = where()): ClientProxy {
    const plain = ClientProxyFactory.create(at as ClientProviderOptions);
    open.push(plain);
    return new TenantMessages({ keys: [KEY], tenantIdType: 'uuid', ...options }).sign(plain);
  }

  async function connection(): Promise<NatsConnection> {
    const raw = await connect({ servers: nats.servers });
    open.push(raw);
    return raw;
  }

  /** What goes over the wire on a subject. */
  async function tapped(subject: string): Promise<{ headers: Record<string, string[]>; payload: string }[]> {
    const messages: { headers: Record<string, string[]>; payload: string }[] = [];
    const raw = await connection();
    raw.subscribe(subject, {
      callback: (_, message) => {
        messages.push({ headers: toRecord(message.headers), payload: message.string() });
      },
    });
    await raw.flush();
    return messages;
  }

  const send = (sender: ClientProxy, tenantId: string, subject: string, data: unknown) =>
    tenantContext(tenantId, () => firstValueFrom(sender.send<Arrived>(subject, data).pipe(timeout(5_000))));
  const emit = (sender: ClientProxy, tenantId: string, subject: string, data: unknown) =>
    tenantContext(tenantId, () => lastValueFrom(sender.emit(subject, data), { defaultValue: undefined }));

  async function arrivedEvents(count: number): Promise<typeof events> {
    for (let n = 0; n < 500 && events.length < count; n += 1)
      await new Promise((done) => setTimeout(done, 10));
    expect(events).toHaveLength(count);
    return events;
  }

  it('have their token in a header, and nothing of it in the payload', async () => {
    await service();
    const messages = await tapped('notes.1.look');
    await send(client(), A, 'notes.1.look', { n: 1 });
    const [{ headers: sent, payload }] = messages as [(typeof messages)[0]];
    expect(sent).toEqual({ tenantToken: [expect.stringMatching(/^v1\.new\./)] });
    expect(JSON.parse(payload)).toEqual({ pattern: 'notes.1.look', data: { n: 1 }, id: expect.any(String) });
  });

  describe('to a wildcard', () => {
    it('run in the context of their sender, interleaved', async () => {
      const asked: string[] = [];
      await service({ authorize: (_, { pattern }) => asked.push(pattern) > 0 });
      const sender = client();
      const views = await Promise.all(
        Array.from({ length: 40 }, (_, n) => send(sender, n % 2 ? A : B, `notes.${n}.look`, { n })),
      );
      const expected = views.map((_, n) => {
        return { data: { n }, subject: `notes.${n}.look`, headers: {}, ...viewOf(n % 2 ? A : B) };
      });
      expect(views).toEqual(expected);
      expect(asked.toSorted()).toEqual(views.map((_, n) => `notes.${n}.look`).toSorted());
    });

    it('that are events run in it as well', async () => {
      await service();
      const sender = client();
      await Promise.all(
        Array.from({ length: 20 }, (_, n) => emit(sender, n % 2 ? A : B, `events.a.${n}`, n)),
      );
      for (const [, { data, subject, ...view }] of await arrivedEvents(20)) {
        expect(subject).toBe(`events.a.${String(data)}`);
        expect(view).toEqual({ headers: {}, ...viewOf((data as number) % 2 ? A : B) });
      }
    });

    it('are signed for their subject: a token of another one that the same handler has is refused', async () => {
      await service();
      const messages = await tapped('notes.1.look');
      await send(client(), A, 'notes.1.look', {});
      const { tenantToken } = messages[0]!.headers;
      const thief = ClientProxyFactory.create(
        where({ headers: { tenantToken: tenantToken![0]! } }) as ClientProviderOptions,
      );
      open.push(thief);
      await expect(firstValueFrom(thief.send('notes.2.look', {}))).rejects.toEqual(refusal);
      expect(await firstValueFrom(thief.send('notes.1.look', {}))).toMatchObject(viewOf(A));
    });
  });

  it('whose payload names the pattern of their token are refused on another subject', async () => {
    await service();
    const messages = await tapped('notes.1.look');
    await send(client(), A, 'notes.1.look', { n: 1 });
    const { headers: stolen, payload } = messages[0]!;
    const token = headers();
    token.set('tenantToken', stolen.tenantToken![0]!);
    const raw = await connection();
    const request = (subject: string) => raw.request(subject, payload, { headers: token, timeout: 5_000 });
    expect((await request('other')).json()).toMatchObject({ err: refusal });
    expect((await request('notes.1.look')).json()).toMatchObject({ response: viewOf(A) });
  });

  it('that the server gives another subject are refused', async () => {
    await service();
    await expect(send(client(), A, 'old.7', {})).rejects.toEqual(refusal);
    expect(await send(client(), A, 'notes.7.look', {})).toMatchObject(viewOf(A));
  });

  it('to a queue group run once, in the context of their sender', async () => {
    for (const _ of [1, 2]) await service({}, where({ queue: 'notes' }));
    const sender = client();
    await Promise.all(Array.from({ length: 60 }, (_, n) => emit(sender, n % 2 ? A : B, 'events.once', n)));
    const arrived = await arrivedEvents(60);
    expect(new Set(arrived.map(([instance]) => instance)).size).toBe(2);
    const numbers = arrived.map(([, { data }]) => data as number).toSorted((a, b) => a - b);
    expect(numbers).toEqual(Array.from({ length: 60 }, (_, n) => n));
    for (const [, { data, ...view }] of arrived) {
      expect(view).toMatchObject(viewOf((data as number) % 2 ? A : B));
    }
  });

  describe('made by a NatsRecordBuilder', () => {
    function record(data: unknown) {
      const own = headers();
      own.append('trace', '1');
      own.append('trace', '2');
      return { own, record: new NatsRecordBuilder(data).setHeaders(own).build() };
    }

    it('keep their headers, and those of their client, and are left as they are', async () => {
      await service();
      const { own, record: sent } = record({ n: 1 });
      const sender = client({}, where({ headers: { trace: 'of the client', app: 'front' } }));
      const expected = { data: { n: 1 }, headers: { trace: ['1', '2'], app: ['front'] }, ...viewOf(A) };
      expect(await send(sender, A, 'notes.1.look', sent)).toMatchObject(expected);
      expect(toRecord(own)).toEqual({ trace: ['1', '2'] });
      const withoutHeaders = new NatsRecordBuilder({ n: 2 }).build();
      expect(await send(sender, B, 'notes.1.look', withoutHeaders)).toMatchObject({
        data: { n: 2 },
        headers: { trace: ['of the client'], app: ['front'] },
        ...viewOf(B),
      });
    });

    it('are sent for two tenants at once, one record', async () => {
      await service();
      const sender = client();
      const { record: shared } = record({ n: 1 });
      const tenants = Array.from({ length: 20 }, (_, n) => (n % 2 ? A : B));
      await Promise.all(tenants.map((tenantId) => emit(sender, tenantId, 'events.shared', shared)));
      const arrived = (await arrivedEvents(20)).map(([, view]) => view.who);
      expect(arrived.toSorted()).toEqual(tenants.toSorted());
      const views = await Promise.all(tenants.map((tenantId) => send(sender, tenantId, 'other', shared)));
      expect(views.map((view) => view.who)).toEqual(tenants);
    });

    it('with the headers of a message that arrived do not keep its token', async () => {
      await service({ allowNobody: true });
      const messages = await tapped('other');
      await send(client(), A, 'other', {});
      const forwarded = headers();
      forwarded.set('tenantToken', messages[0]!.headers.tenantToken![0]!);
      const forwarding = new NatsRecordBuilder({}).setHeaders(forwarded).build();
      const sender = client({ allowNobody: true });
      expect(await send(sender, B, 'other', forwarding)).toMatchObject(viewOf(B));
      const ofNobody = withoutTenant(() => firstValueFrom(sender.send('other', forwarding)));
      expect(await ofNobody).toMatchObject({ who: 'nobody', bodies: 'NoTenantContextError' });
    });
  });

  it('keep what a serializer of the application makes of them', async () => {
    await service();
    const made: string[] = [];
    const serializer = {
      init: () => void made.push('init'),
      serialize: (packet: { data: object }) => {
        made.push('message');
        const own = headers();
        own.set('made', 'here');
        return { data: JSON.stringify({ ...packet, version: 2 }), headers: own };
      },
    };
    const sender = client({}, where({ serializer }));
    expect(await send(sender, A, 'other', { n: 1 })).toMatchObject({
      data: { n: 1 },
      headers: { made: ['here'] },
      ...viewOf(A),
    });
    expect(made).toEqual(['init', 'message']);
  });

  it('are not sent to a server without headers', async () => {
    const without = await startNats('no_header_support: true');
    const sender = client({}, where({ servers: without.servers }));
    for (const sending of [() => send(sender, A, 'other', {}), () => emit(sender, A, 'events.a', {})]) {
      await expect(sending()).rejects.toThrow(RlsConfigurationError);
      await expect(sending()).rejects.toThrow('takes no headers');
    }
    await sender.close();
    await without.stop();
  });
});

import { Controller, Get, Param, Req, type INestApplication } from '@nestjs/common';
import { ClientProxyFactory, MessagePattern, Transport, type ClientProxy } from '@nestjs/microservices';
import type { AddressInfo } from 'node:net';
import { lastValueFrom } from 'rxjs';
import {
  AdminScoped,
  adminContext,
  TenantContext,
  type AdminContextEndedEvent,
  type AdminContextEvent,
  type TenantSwitch,
} from '../../libs/rls-tenants/src/index.js';
import { TenantMessagesModule } from '../../libs/rls-tenants/src/microservices/index.js';
import { runAs } from '../../libs/rls-tenants/src/propagation/index.js';
import type { ProtectedDatabase } from '../support/protected-database.js';
import { A, B, createNotesDatabase, listen, Notes, rootModule } from '../transports/support/notes-app.js';
import { publishedBy } from './support/events.js';

@Controller()
class SwitchingController {
  constructor(
    private readonly notes: Notes,
    private readonly tenants: TenantContext,
  ) {}

  @Get('of/:tenantId')
  of(@Param('tenantId') tenantId: string, @Req() request: object): Promise<string[]> {
    return this.tenants.switchTo(tenantId, request, () => this.notes.owners());
  }

  @MessagePattern('all')
  @AdminScoped('all notes, for another service')
  all(): Promise<string[]> {
    return this.notes.owners();
  }
}

describe('Events', () => {
  let db: ProtectedDatabase;
  let app: INestApplication;
  let client: ClientProxy;
  let url: string;

  beforeAll(async () => {
    db = await createNotesDatabase();
    const started = await listen(
      rootModule(
        db,
        {
          controllers: [SwitchingController],
          imports: [TenantMessagesModule.forRoot({ keys: [{ id: 'test', secret: 's'.repeat(32) }] })],
        },
        { authorize: (tenantId, { url }: { url: string }) => !(tenantId === B && url.endsWith('refused')) },
      ),
    );
    app = started.app;
    url = `http://127.0.0.1:${started.port}`;
    const host = '127.0.0.1';
    const service = app.connectMicroservice(
      { transport: Transport.TCP, options: { host, port: 0 } },
      { inheritAppConfig: true },
    );
    await app.startAllMicroservices();
    const { port } = service.unwrap<{ address(): AddressInfo }>().address();
    client = ClientProxyFactory.create({ transport: Transport.TCP, options: { host, port } });
  });
  afterAll(async () => {
    client.close();
    await app.close();
    await db.drop();
  });

  it('of an admin context that a message enters are one of each, and name the handler', async () => {
    const ended = publishedBy<AdminContextEndedEvent>('rls-tenants:admin-context-ended', async () => {
      const { events } = await publishedBy<AdminContextEvent>('rls-tenants:admin-context', async () => {
        expect(await lastValueFrom(client.send('all', {}))).toEqual([A, B]);
      });
      expect(events).toEqual([
        {
          event: 'admin context',
          reason: 'all notes, for another service',
          caller: 'SwitchingController.all',
          from: { kind: 'nobody' },
        },
      ]);
    });
    expect((await ended).events).toEqual([
      expect.objectContaining({ caller: 'SwitchingController.all', failed: false }),
    ]);
  });

  it('of an admin context that a verified job enters are one, and none where it is entered again', async () => {
    const { events } = await publishedBy<AdminContextEvent>('rls-tenants:admin-context', () =>
      runAs({ kind: 'admin', reason: 'a job' }, () => adminContext('a job', () => undefined)),
    );
    expect(events).toEqual([
      expect.objectContaining({
        reason: 'a job',
        caller: expect.stringContaining('other-transports.spec.ts:'),
      }),
    ]);
  });

  it('of a tenant switch say from whom to whom, and whether it was allowed', async () => {
    const { events } = await publishedBy<TenantSwitch>('rls-tenants:tenant-switch', async () => {
      const headers = { 'x-tenant-id': A };
      expect(await (await fetch(`${url}/of/${B}`, { headers })).json()).toEqual([B]);
      expect((await fetch(`${url}/of/${B}?refused`, { headers })).status).toBe(403);
    });
    const from = { kind: 'tenant', tenantId: A };
    expect(events).toEqual([
      { event: 'tenant switch', from, to: B, allowed: true },
      { event: 'tenant switch', from, to: B, allowed: false },
    ]);
  });
});

import { Controller, Global, Inject, Module } from '@nestjs/common';
import {
  ClientProxyFactory,
  MessagePattern,
  Transport,
  type MicroserviceOptions,
  type NatsOptions,
  type RedisOptions,
  type TcpOptions,
} from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { Queue, Worker } from 'bullmq';
import pg from 'pg';
import PgBoss from 'pg-boss';
import { firstValueFrom } from 'rxjs';
import type { DataSource } from 'typeorm';
import { TenantJobs } from '../../libs/rls-tenants/src/bullmq/index.js';
import { RLS_TENANTS_OPTIONS, tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import { TenantMessages, TenantMessagesModule } from '../../libs/rls-tenants/src/microservices/index.js';
import { withTenantJobs } from '../../libs/rls-tenants/src/pg-boss/index.js';
import { hasNats, startNats, type NatsServer } from '../support/nats.js';
import { Note, Notebook, NOTES, Tag, tenant } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';
import { freePort, hasRedis, startRedis, type RedisServer } from '../support/redis.js';
import { runSchedule } from '../support/schedule.js';
import { Works } from '../support/works.js';

const TENANTS = 50;
const ACTORS = 8;
// SCHEDULE_SEED replays a failing run; HANDLER_SCHEDULE_OPERATIONS makes it a soak.
const seed = Number(process.env.SCHEDULE_SEED ?? Math.floor(Math.random() * 1e6));
const operations = Number(process.env.HANDLER_SCHEDULE_OPERATIONS ?? 1_000);
const itOnRedis = hasRedis() || process.env.CI ? it : it.skip;
const itOnNats = hasNats() || process.env.CI ? it : it.skip;

const OPTIONS = { keys: [{ id: 'test', secret: 's'.repeat(32) }], tenantIdType: 'uuid' as const };

@Controller()
class WorkController {
  constructor(@Inject(Works) private readonly works: Works) {}

  @MessagePattern('work')
  async work({ n }: { n: number }): Promise<boolean> {
    await this.works.run(n);
    return true;
  }
}

/** What of RlsTenantsModule the messages need: the data source is the suite's own. */
@Global()
@Module({
  providers: [{ provide: RLS_TENANTS_OPTIONS, useValue: OPTIONS }],
  exports: [RLS_TENANTS_OPTIONS],
})
class OptionsModule {}

describe(`random schedules, seed ${seed}, in jobs and messages`, () => {
  let db: ProtectedDatabase;
  let dataSource: DataSource;
  let operator: pg.Pool;
  let redis: RedisServer | undefined;
  let nats: NatsServer | undefined;
  let works: Works;
  const closing: (() => unknown)[] = [];

  beforeAll(async () => {
    [db, redis, nats] = await Promise.all([
      createProtectedDatabase(NOTES),
      hasRedis() ? startRedis() : undefined,
      hasNats() ? startNats() : undefined,
    ]);
    operator = new pg.Pool({ connectionString: db.url(), max: 2 });
    dataSource = await db.isolated({ onMissingTenant: 'empty' }, { poolSize: 3 });
    for (let n = 1; n <= TENANTS; n += 1) {
      await tenantContext(tenant(n), async () => {
        const tags = await dataSource.getRepository(Tag).save([{ name: 'red' }, { name: 'blue' }]);
        const notes = [1, 2, 3].map((note) => Object.assign(new Note(), { body: `note ${note}`, tags }));
        await dataSource.getRepository(Notebook).save({ title: 'book', notes });
      });
    }
  });
  beforeEach(() => {
    works = new Works();
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });
  afterAll(async () => {
    await operator.end();
    await db.drop();
    await redis?.stop();
    await nats?.stop();
  });

  async function expectIsolation(send: (n: number) => Promise<unknown>): Promise<void> {
    const result = await runSchedule({
      dataSource,
      operator,
      seed,
      operations,
      tenants: TENANTS,
      actors: ACTORS,
      enter: (tenantId, work) => works.send(work, (n) => tenantContext(tenantId, () => send(n))),
    });
    expect(result.wrong).toEqual([]);
    expect(result.operations).toBeGreaterThanOrEqual(operations);
    expect(result.rows).toBeGreaterThan(operations); // nobody was shown emptiness instead of isolation
  }

  itOnRedis(
    'of BullMQ',
    async () => {
      const connection = { host: '127.0.0.1', port: redis!.port };
      const queue = new TenantJobs(OPTIONS).sign(new Queue('random', { connection }));
      const processor = new TenantJobs(OPTIONS).processor((job) => works.run((job.data as { n: number }).n));
      const worker = new Worker('random', processor, { connection, concurrency: ACTORS });
      closing.push(
        () => worker.close(),
        () => queue.close(),
      );
      await expectIsolation((n) => queue.add('work', { n }, { removeOnComplete: true }));
      await worker.close();
      await queue.close();
    },
    300_000,
  );

  it('of pg-boss', async () => {
    const boss = withTenantJobs(
      new PgBoss({ connectionString: db.url('migrator'), max: 3, schedule: false, supervise: false }),
      OPTIONS,
    );
    await boss.start();
    closing.push(() => boss.stop({ graceful: false }));
    await boss.createQueue('random');
    const work = () =>
      boss.work<{ n: number }>('random', { batchSize: 2, pollingIntervalSeconds: 0.5 }, ([job]) =>
        works.run(job!.data.n),
      );
    const workers = await Promise.all(Array.from({ length: ACTORS / 2 }, work));
    await expectIsolation(async (n) => {
      await boss.send('random', { n });
      // Not after the polling interval.
      for (const id of workers) boss.notifyWorker(id);
    });
  }, 300_000);

  it('over TCP', async () => {
    await expectIsolationOver({
      transport: Transport.TCP,
      options: { host: '127.0.0.1', port: await freePort() },
    });
  }, 300_000);

  itOnRedis(
    'over Redis',
    async () => {
      await expectIsolationOver({
        transport: Transport.REDIS,
        options: { host: '127.0.0.1', port: redis!.port },
      });
    },
    300_000,
  );

  itOnNats(
    'over NATS',
    async () => {
      await expectIsolationOver({ transport: Transport.NATS, options: { servers: nats!.servers } });
    },
    300_000,
  );

  async function expectIsolationOver(where: TcpOptions | RedisOptions | NatsOptions): Promise<void> {
    @Module({
      imports: [TenantMessagesModule.forRoot(OPTIONS), OptionsModule],
      controllers: [WorkController],
      providers: [{ provide: Works, useValue: works }],
    })
    class ServiceModule {}
    const module = await Test.createTestingModule({ imports: [ServiceModule] }).compile();
    const app = module.createNestMicroservice<MicroserviceOptions>({ ...where, logger: false });
    await app.listen();
    const client = new TenantMessages(OPTIONS).sign(ClientProxyFactory.create(where as RedisOptions));
    closing.push(
      () => client.close(),
      () => app.close(),
    );
    await expectIsolation((n) => firstValueFrom(client.send('work', { n })));
  }
});

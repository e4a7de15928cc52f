import 'reflect-metadata';
import { Controller, Get, Inject, Module, Param, ParseIntPipe } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Queue, Worker } from 'bullmq';
import pg from 'pg';
import PgBoss from 'pg-boss';
import type { DataSource } from 'typeorm';
import { TenantJobs } from '../../libs/rls-tenants/src/bullmq/index.js';
import { fromHeader, RlsTenantsModule, tenantContext } from '../../libs/rls-tenants/src/index.js';
import { withTenantJobs } from '../../libs/rls-tenants/src/pg-boss/index.js';
import { Note, Notebook, NOTES, Tag, tenant } from '../support/notes.js';
import { hasRedis, startRedis, type RedisServer } from '../support/redis.js';
import { runSchedule, type ScheduleOptions } from '../support/schedule.js';
import { createSealedDatabase, type SealedDatabase } from '../support/sealed-database.js';
import { Works } from '../support/works.js';
import { dataSourceOf, listen } from '../transports/support/notes-app.js';

const TENANTS = 50;
const ACTORS = 8;
// SCHEDULE_SEED replays a failing run; HANDLER_SCHEDULE_OPERATIONS makes it a soak.
const seed = Number(process.env.SCHEDULE_SEED ?? Math.floor(Math.random() * 1e6));
const operations = Number(process.env.HANDLER_SCHEDULE_OPERATIONS ?? 1_000);
const itOnRedis = hasRedis() || process.env.CI ? it : it.skip;

const OPTIONS = { keys: [{ id: 'test', secret: 's'.repeat(32) }], tenantIdType: 'uuid' as const };

@Controller()
class WorkController {
  constructor(@Inject(Works) private readonly works: Works) {}

  @Get('work/:n')
  async work(@Param('n', ParseIntPipe) n: number): Promise<string> {
    await this.works.run(n);
    return 'done';
  }
}

describe(`sealed random schedules, seed ${seed}, in handlers`, () => {
  let db: SealedDatabase;
  let operator: pg.Pool;
  let redis: RedisServer | undefined;
  let works: Works;
  const closing: (() => unknown)[] = [];

  beforeAll(async () => {
    [db, redis] = await Promise.all([createSealedDatabase(NOTES), hasRedis() ? startRedis() : undefined]);
    operator = new pg.Pool({ connectionString: db.url(), max: 2 });
    const dataSource = await db.isolated();
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
  });

  async function expectIsolation(dataSource: DataSource, enter: ScheduleOptions['enter']): Promise<void> {
    const result = await runSchedule({
      dataSource,
      operator,
      seed,
      operations,
      tenants: TENANTS,
      actors: ACTORS,
      sealed: true,
      enter: enter!,
    });
    expect(result.wrong).toEqual([]);
    expect(result.operations).toBeGreaterThanOrEqual(operations);
    expect(result.rows).toBeGreaterThan(operations); // nobody was shown emptiness instead of isolation
  }

  const inJobs =
    (send: (n: number) => Promise<unknown>): ScheduleOptions['enter'] =>
    (tenantId, work) =>
      works.send(work, (n) => tenantContext(tenantId, () => send(n)));

  it('of HTTP, in an application with the options `seal` and `adminDataSource`', async () => {
    const postgres = { type: 'postgres', poolSize: 3, retryAttempts: 0 } as const;
    @Module({
      imports: [
        TypeOrmModule.forRoot({ ...postgres, url: db.url('app'), entities: NOTES }),
        TypeOrmModule.forRoot({
          ...postgres,
          name: 'admin',
          url: db.adminDataSource.options.type === 'postgres' ? db.adminDataSource.options.url! : '',
          entities: NOTES,
        }),
        RlsTenantsModule.forRoot({
          tenantIdType: 'uuid',
          adminRole: db.roles.admin,
          onMissingTenant: 'empty',
          resolveTenant: fromHeader('x-tenant-id'),
          authorize: () => true,
          seal: { keys: () => [db.key] },
          adminDataSource: 'admin',
        }),
      ],
      controllers: [WorkController],
      providers: [{ provide: Works, useValue: works }],
    })
    class AppModule {}
    const { app, port } = await listen(AppModule);
    closing.push(() => app.close());
    const send = async (tenantId: string, n: number) => {
      const response = await fetch(`http://127.0.0.1:${port}/work/${n}`, {
        headers: { 'x-tenant-id': tenantId },
      });
      if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
    };
    await expectIsolation(dataSourceOf(app), (tenantId, work) => works.send(work, (n) => send(tenantId, n)));
  }, 300_000);

  itOnRedis(
    'of BullMQ',
    async () => {
      const connection = { host: '127.0.0.1', port: redis!.port };
      const queue = new TenantJobs(OPTIONS).sign(new Queue('sealed', { connection }));
      const processor = new TenantJobs(OPTIONS).processor((job) => works.run((job.data as { n: number }).n));
      const worker = new Worker('sealed', processor, { connection, concurrency: ACTORS });
      closing.push(
        () => worker.close(),
        () => queue.close(),
      );
      const dataSource = await db.isolated({ onMissingTenant: 'empty' }, { poolSize: 3 });
      await expectIsolation(
        dataSource,
        inJobs((n) => queue.add('work', { n }, { removeOnComplete: true })),
      );
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
    await boss.createQueue('sealed');
    const work = () =>
      boss.work<{ n: number }>('sealed', { batchSize: 2, pollingIntervalSeconds: 0.5 }, ([job]) =>
        works.run(job!.data.n),
      );
    const workers = await Promise.all(Array.from({ length: ACTORS / 2 }, work));
    const dataSource = await db.isolated({ onMissingTenant: 'empty' }, { poolSize: 3 });
    await expectIsolation(
      dataSource,
      inJobs(async (n) => {
        await boss.send('sealed', { n });
        // Not after the polling interval.
        for (const id of workers) boss.notifyWorker(id);
      }),
    );
  }, 300_000);
});

import { setTimeout as sleep } from 'node:timers/promises';
import {
  BullModule,
  getQueueToken,
  InjectFlowProducer,
  InjectQueue,
  OnWorkerEvent,
  Processor,
  WorkerHost,
} from '@nestjs/bullmq';
import { Controller, Injectable, Module, Post, Scope, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import { Queue, type FlowProducer, type Job } from 'bullmq';
import request from 'supertest';
import type { Repository } from 'typeorm';
import { TenantJob, TenantJobsModule } from '../../libs/rls-tenants/src/bullmq/index.js';
import { fromHeader, RlsTenantsModule, tenantContext } from '../../libs/rls-tenants/src/index.js';
import { who } from '../http/support/http-app.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import { hasRedis, startRedis, type RedisServer } from '../support/redis.js';
import { BODIES, createTwoTenants, type TwoTenants } from '../support/two-tenants.js';

const describeOnRedis = hasRedis() || process.env.CI ? describe : describe.skip;

interface Report {
  from: string;
}

describeOnRedis('@nestjs/bullmq', () => {
  let notes: TwoTenants;
  let redis: RedisServer;
  const seen: unknown[] = [];
  const events: string[] = [];
  const members = new Map<string, string[]>();

  beforeAll(async () => {
    [redis, notes] = await Promise.all([startRedis(), createTwoTenants()]);
  });
  beforeEach(() => {
    seen.splice(0);
    events.splice(0);
    members.clear();
    members.set(A, ['ann', 'amy']).set(B, ['bob']);
  });
  afterAll(async () => {
    await notes.db.drop();
    await redis.stop();
  });

  @Controller('reports')
  class ReportsController {
    constructor(
      @InjectQueue('reports') private readonly reports: Queue,
      @InjectFlowProducer('flows') private readonly flows: FlowProducer,
    ) {}

    @Post() async add(): Promise<void> {
      const from = who() === A ? 'ann' : 'bob';
      await this.reports.add('report', { from } satisfies Report, { attempts: 3 });
    }

    @Post('flow') async addFlow(): Promise<void> {
      const from = who() === A ? 'ann' : 'bob';
      const child = { name: 'child', queueName: 'forgetful' };
      await this.flows.add({ name: 'parent', queueName: 'reports', data: { from }, children: [child] });
    }
  }

  abstract class Looking extends WorkerHost {
    constructor(@InjectRepository(Note) protected readonly repository: Repository<Note>) {
      super();
    }

    protected async look(job: Job): Promise<void> {
      await sleep(Math.random() * 5);
      const bodies = await this.repository.find().then(
        (found) => found.map(({ body }) => body),
        (error: Error) => error.name,
      );
      seen.push([job.name, who(), bodies]);
    }

    @OnWorkerEvent('completed') completed(): void {
      events.push(who());
    }
  }

  @Processor('reports', { concurrency: 5 })
  class ReportProcessor extends Looking {
    @TenantJob()
    async process(job: Job<Report>): Promise<void> {
      await this.look(job);
    }
  }

  @Processor({ name: 'reports', scope: Scope.REQUEST }, { concurrency: 5 })
  class ScopedReportProcessor extends WorkerHost {
    constructor(@InjectRepository(Note) private readonly repository: Repository<Note>) {
      super();
    }

    @TenantJob()
    async process(job: Job<Report>): Promise<void> {
      seen.push([job.name, who(), (await this.repository.find()).map(({ body }) => body)]);
    }
  }

  @Processor('forgetful')
  class ForgetfulProcessor extends Looking {
    async process(job: Job): Promise<void> {
      await this.look(job);
    }
  }

  @Injectable()
  class Members {
    has(tenantId: string, user: string): boolean {
      return members.get(tenantId)!.includes(user);
    }
  }

  @Module({ providers: [Members], exports: [Members] })
  class MembersModule {}

  async function start(processor: Type) {
    const { url, roles } = { url: notes.db.url('app'), roles: notes.db.roles };
    @Module({
      imports: [
        TypeOrmModule.forRoot({ type: 'postgres', url, entities: NOTES, poolSize: 3, retryAttempts: 0 }),
        TypeOrmModule.forFeature([Note]),
        RlsTenantsModule.forRoot({
          tenantIdType: 'uuid',
          adminRole: roles.admin,
          resolveTenant: fromHeader('x-tenant'),
          authorize: () => true,
        }),
        BullModule.forRoot({ connection: { host: '127.0.0.1', port: redis.port } }),
        BullModule.registerQueue({ name: 'reports' }, { name: 'forgetful' }),
        BullModule.registerFlowProducer({ name: 'flows' }),
        TenantJobsModule.forRootAsync({
          imports: [MembersModule],
          inject: [Members],
          useFactory: (list: Members) => ({
            keys: [{ id: 'test', secret: 's'.repeat(32) }],
            authorize: (tenantId: string, job: Job<Report>) => list.has(tenantId, job.data.from),
          }),
        }),
      ],
      controllers: [ReportsController],
      providers: [processor, ForgetfulProcessor],
    })
    class AppModule {}
    const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
    const app = await module.createNestApplication({ logger: false }).init();
    const queue = (name: string) => app.get<Queue>(getQueueToken(name), { strict: false });
    return {
      app,
      queue,
      post: (path: string, tenantId: string) =>
        request(app.getHttpServer()).post(path).set('x-tenant', tenantId),
      finished: async () => {
        for (const name of ['forgetful', 'reports']) {
          const types = ['waiting', 'active', 'delayed', 'waiting-children'] as const;
          while ((await queue(name).getJobCountByTypes(...types)) > 0) await sleep(10);
        }
      },
    };
  }

  it.each<[string, Type]>([
    ['a processor', ReportProcessor],
    ['a request-scoped processor', ScopedReportProcessor],
  ])('%s runs each job for the tenant of the request that added it', async (_, processor) => {
    const { app, post, finished } = await start(processor);
    const requests = Array.from({ length: 20 }, (_, n) => post('/reports', n % 2 ? A : B));
    expect((await Promise.all(requests)).map(({ status }) => status)).toEqual(requests.map(() => 201));
    await finished();
    await app.close();
    const count = (tenantId: string) =>
      seen.filter((view) => JSON.stringify(view) === JSON.stringify(['report', tenantId, [BODIES[tenantId]]]))
        .length;
    expect([count(A), count(B), seen.length]).toEqual([10, 10, 20]);
    expect(new Set(events)).toEqual(new Set(processor === ReportProcessor ? ['nobody'] : []));
    expect(await notes.all()).toEqual(['of A', 'of B']);
  });

  it('a processor without @TenantJob() runs for nobody, and its flow goes on in the tenant’s context', async () => {
    const { app, post, finished } = await start(ReportProcessor);
    await post('/reports/flow', A).expect(201);
    await finished();
    await app.close();
    expect(seen).toEqual([
      ['child', 'nobody', 'NoTenantContextError'],
      ['parent', A, ['of A']],
    ]);
  });

  it('asks about the sender with the application’s own providers, and refuses jobs of others', async () => {
    const { app, queue, post, finished } = await start(ReportProcessor);
    members.set(A, []);
    await post('/reports', A).expect(201);
    const foreign = new Queue('reports', { connection: { host: '127.0.0.1', port: redis.port } });
    await tenantContext(B, () => foreign.add('report', { from: 'bob' }, { attempts: 3 }));
    await foreign.close();
    await finished();
    const failed = (await queue('reports').getFailed()) as Job[];
    await queue('reports').obliterate({ force: true });
    await app.close();
    expect(failed.map(({ attemptsMade }) => attemptsMade)).toEqual([1, 1]);
    expect(failed.map(({ failedReason }) => failedReason).sort()).toEqual([
      expect.stringContaining('has no tenant token'),
      expect.stringContaining('`authorize` refused the sender'),
    ]);
    expect(seen).toEqual([]);
  });
});

import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Queue, Worker, type Job } from 'bullmq';
import { TenantJobs } from '../../libs/rls-tenants/src/bullmq/index.js';
import { tenantContext } from '../../libs/rls-tenants/src/context/index.js';
import { A } from '../support/notes.js';
import { hasRedis, startRedis, type RedisServer } from '../support/redis.js';

const describeOnRedis = hasRedis() || process.env.CI ? describe : describe.skip;
const PROCESSOR = pathToFileURL(join(__dirname, 'support/sandboxed.processor.mjs'));

describeOnRedis('a sandboxed processor that is wrapped in its own file', () => {
  const secret = 's'.repeat(32);
  let redis: RedisServer;

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  it.each([
    ['process', false],
    ['thread', true],
  ])(
    'runs in the context of its job, in a %s, and refuses what is not signed',
    async (name, useWorkerThreads) => {
      const connection = { host: '127.0.0.1', port: redis.port };
      const plain = new Queue(name, { connection });
      const queue = new TenantJobs({ keys: [{ id: 'new', secret }], tenantIdType: 'uuid' }).sign(
        new Queue(name, { connection }),
      );
      await tenantContext(A, () => queue.add('steps', { step: 1 }, { attempts: 5 }));
      await plain.add('foreign', { step: 1 }, { attempts: 5 });
      const worker = new Worker(name, PROCESSOR, { connection, useWorkerThreads });
      while ((await queue.getJobCountByTypes('waiting', 'active', 'delayed')) > 0) await sleep(20);
      const [completed, failed] = (await Promise.all([queue.getCompleted(), queue.getFailed()])) as Job[][];
      await Promise.all([worker.close(), queue.close(), plain.close()]);
      expect(completed).toMatchObject([
        {
          attemptsMade: 2,
          returnvalue: { context: { kind: 'tenant', tenantId: A }, data: { step: 3 } },
        },
      ]);
      expect((completed![0]!.returnvalue as { data: object }).data).toEqual({ step: 3 });
      expect(failed).toMatchObject([
        { name: 'foreign', attemptsMade: 1, failedReason: expect.stringContaining('has no tenant token') },
      ]);
    },
  );
});

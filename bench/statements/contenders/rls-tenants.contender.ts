import 'reflect-metadata';
import { DataSource, type Repository } from 'typeorm';
import { isolateDataSource, tenantContext } from 'nestjs-rls-tenants';
import { PAGE_ROWS, STREAM_ROWS } from '../../support/contender.js';
import { serve } from '../../support/serve.js';
import { consume } from './consume.js';
import { ScopedTask } from '../../support/scoped-task.js';
import { NEW_TASK } from './task.js';
import { VERSIONS } from './versions.js';

let dataSource: DataSource;
let tasks: Repository<ScopedTask>;

serve({
  versions: VERSIONS,
  async open({ url, poolSize }) {
    dataSource = new DataSource({ type: 'postgres', url, poolSize, entities: [ScopedTask] });
    await isolateDataSource(await dataSource.initialize(), { tenantIdType: 'uuid' });
    tasks = dataSource.getRepository(ScopedTask);
  },
  close: () => dataSource.destroy(),
  // tenantContext() is what the interceptor enters for each request; inside, nothing is about tenants.
  operations: {
    findOneBy: (tenantId, id) =>
      tenantContext(tenantId, async () => {
        const task = await tasks.findOneBy({ id });
        return task ? [task] : [];
      }),
    page: (tenantId) =>
      tenantContext(tenantId, () => tasks.find({ order: { createdAt: 'DESC' }, take: PAGE_ROWS })),
    insert: (tenantId) =>
      tenantContext(tenantId, async () => {
        await tasks.insert({ ...NEW_TASK });
        return [];
      }),
    transaction: (tenantId, id) =>
      tenantContext(tenantId, () =>
        dataSource.transaction(async (manager) => {
          const tasks = manager.getRepository(ScopedTask);
          const found = [];
          for (let n = 0; n < 3; n++) found.push(await tasks.findOneByOrFail({ id }));
          await tasks.update({ id }, { title: 'Another title' });
          await tasks.insert({ ...NEW_TASK });
          return found;
        }),
      ),
    stream: (tenantId) =>
      tenantContext(tenantId, async () =>
        consume(await tasks.createQueryBuilder('task').limit(STREAM_ROWS).stream()),
      ),
  },
});

import 'reflect-metadata';
import { DataSource, type Repository } from 'typeorm';
import { isolateDataSource, tenantContext, type IsolationOptions } from 'nestjs-rls-tenants';
import { PAGE_ROWS, STREAM_ROWS } from '../../support/contender.js';
import { SEAL_KEY, SEALED_SETTING } from '../../support/seal.js';
import { SealedTask } from '../../support/sealed-task.js';
import { serve } from '../../support/serve.js';
import { SEALED_APP_ROLE } from '../../support/server.js';
import { consume } from './consume.js';
import { ScopedTask } from '../../support/scoped-task.js';
import { NEW_TASK } from './task.js';
import { VERSIONS } from './versions.js';

const isSealed = process.argv[2] === 'sealed';
const Task = isSealed ? SealedTask : ScopedTask;
const options: IsolationOptions = isSealed
  ? { tenantIdType: 'uuid', tenantSetting: SEALED_SETTING, seal: { keys: [SEAL_KEY] } }
  : { tenantIdType: 'uuid' };

let dataSource: DataSource;
let tasks: Repository<ScopedTask>;

serve({
  versions: VERSIONS,
  async open({ url, poolSize }) {
    const login = new URL(url);
    if (isSealed) login.username = SEALED_APP_ROLE;
    dataSource = new DataSource({ type: 'postgres', url: login.toString(), poolSize, entities: [Task] });
    await isolateDataSource(await dataSource.initialize(), options);
    tasks = dataSource.getRepository(Task);
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
          const tasks = manager.getRepository(Task);
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

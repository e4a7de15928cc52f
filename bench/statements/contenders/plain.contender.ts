import 'reflect-metadata';
import { DataSource, type Repository } from 'typeorm';
import { PAGE_ROWS, STREAM_ROWS } from '../../support/contender.js';
import { serve } from '../../support/serve.js';
import { PlainTask } from '../../support/plain-task.js';
import { NEW_TASK } from './task.js';
import { consume } from './consume.js';
import { VERSIONS } from './versions.js';

let dataSource: DataSource;
let tasks: Repository<PlainTask>;

/** The baseline: TypeORM without row-level security, and a WHERE that nobody ever forgets. */
serve({
  versions: VERSIONS,
  async open({ url, poolSize }) {
    dataSource = await new DataSource({
      type: 'postgres',
      url,
      poolSize,
      entities: [PlainTask],
    }).initialize();
    tasks = dataSource.getRepository(PlainTask);
  },
  close: () => dataSource.destroy(),
  operations: {
    async findOneBy(tenantId, id) {
      const task = await tasks.findOneBy({ id, tenantId });
      return task ? [task] : [];
    },
    page: (tenantId) => tasks.find({ where: { tenantId }, order: { createdAt: 'DESC' }, take: PAGE_ROWS }),
    async insert(tenantId) {
      await tasks.insert({ ...NEW_TASK, tenantId });
      return [];
    },
    transaction: (tenantId, id) =>
      dataSource.transaction(async (manager) => {
        const tasks = manager.getRepository(PlainTask);
        const found = [];
        for (let n = 0; n < 3; n++) found.push(await tasks.findOneByOrFail({ id, tenantId }));
        await tasks.update({ id, tenantId }, { title: 'Another title' });
        await tasks.insert({ ...NEW_TASK, tenantId });
        return found;
      }),
    stream: async (tenantId) =>
      consume(await tasks.createQueryBuilder('task').where({ tenantId }).limit(STREAM_ROWS).stream()),
  },
});

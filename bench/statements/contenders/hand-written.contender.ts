import 'reflect-metadata';
import { DataSource, type EntityManager } from 'typeorm';
import { PAGE_ROWS, STREAM_ROWS } from '../../support/contender.js';
import { serve } from '../../support/serve.js';
import { consume } from './consume.js';
import { HandScopedTask, NEW_TASK } from './task.js';
import { VERSIONS } from './versions.js';

let dataSource: DataSource;

/** BEGIN, set_config, the work, COMMIT: what the recipes say. */
function inTenant<T>(tenantId: string, work: (manager: EntityManager) => Promise<T>): Promise<T> {
  return dataSource.transaction(async (manager) => {
    await manager.query("SELECT set_config('rls.current_tenant', $1, true)", [tenantId]);
    return work(manager);
  });
}

serve({
  versions: VERSIONS,
  async open({ url, poolSize }) {
    dataSource = await new DataSource({
      type: 'postgres',
      url,
      poolSize,
      entities: [HandScopedTask],
    }).initialize();
  },
  close: () => dataSource.destroy(),
  operations: {
    findOneBy: (tenantId, id) =>
      inTenant(tenantId, async (manager) => {
        const task = await manager.findOneBy(HandScopedTask, { id });
        return task ? [task] : [];
      }),
    page: (tenantId) =>
      inTenant(tenantId, (manager) =>
        manager.find(HandScopedTask, { order: { createdAt: 'DESC' }, take: PAGE_ROWS }),
      ),
    insert: (tenantId) =>
      inTenant(tenantId, async (manager) => {
        await manager.insert(HandScopedTask, { ...NEW_TASK });
        return [];
      }),
    transaction: (tenantId, id) =>
      inTenant(tenantId, async (manager) => {
        const tasks = manager.getRepository(HandScopedTask);
        const found = [];
        for (let n = 0; n < 3; n++) found.push(await tasks.findOneByOrFail({ id }));
        await tasks.update({ id }, { title: 'Another title' });
        await tasks.insert({ ...NEW_TASK });
        return found;
      }),
    stream: (tenantId) =>
      inTenant(tenantId, async (manager) =>
        consume(await manager.createQueryBuilder(HandScopedTask, 'task').limit(STREAM_ROWS).stream()),
      ),
  },
});

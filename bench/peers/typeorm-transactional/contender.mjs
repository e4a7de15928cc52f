import 'reflect-metadata';
import { DataSource, EntitySchema } from 'typeorm';
import {
  addTransactionalDataSource,
  initializeTransactionalContext,
  runInTransaction,
  StorageDriver,
} from 'typeorm-transactional';
import { serve } from '../../../dist/bench/support/serve.js';
import { taskOptions, typeormOperations } from '../typeorm.mjs';
import { versionsOf } from '../versions.mjs';

const Task = new EntitySchema(taskOptions('rls'));
let dataSource;
let tasks;

serve({
  versions: versionsOf(import.meta.url, ['typeorm-transactional', 'typeorm', 'pg']),
  async open({ url, poolSize }) {
    initializeTransactionalContext({ storageDriver: StorageDriver.ASYNC_LOCAL_STORAGE });
    dataSource = addTransactionalDataSource(
      new DataSource({ type: 'postgres', url, poolSize, entities: [Task], installExtensions: false }),
    );
    await dataSource.initialize();
    tasks = dataSource.getRepository(Task);
  },
  close: () => dataSource.destroy(),
  operations: typeormOperations({
    run: (tenantId, work) =>
      runInTransaction(async () => {
        await dataSource.query(`SELECT set_config('rls.current_tenant', $1, true)`, [tenantId]);
        return work(tasks);
      }),
  }),
});

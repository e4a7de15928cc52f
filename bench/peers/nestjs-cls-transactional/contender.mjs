import 'reflect-metadata';
import { ClsPluginTransactional, TransactionHost } from '@nestjs-cls/transactional';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { NestFactory } from '@nestjs/core';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import { ClsModule, ClsService } from 'nestjs-cls';
import { EntitySchema } from 'typeorm';
import { serve } from '../../../dist/bench/support/serve.js';
import { taskOptions, typeormOperations } from '../typeorm.mjs';
import { versionsOf } from '../versions.mjs';

const Task = new EntitySchema(taskOptions('rls'));
let app;
let cls;
let txHost;

/** What ClsMiddleware does for a request. */
const asRequestOf = (tenantId, handle) => cls.runWith({ tenantId }, handle);

/** What a method with `@Transactional()` does, for which JavaScript has no syntax. */
const inTransaction = (work) =>
  txHost.withTransaction(async () => {
    await txHost.tx.query(`SELECT set_config('rls.current_tenant', $1, true)`, [cls.get('tenantId')]);
    return work(txHost.tx.getRepository(Task));
  });

serve({
  versions: versionsOf(import.meta.url, [
    '@nestjs-cls/transactional',
    '@nestjs-cls/transactional-adapter-typeorm',
    'nestjs-cls',
    'typeorm',
    'pg',
  ]),
  async open({ url, poolSize }) {
    const adapter = new TransactionalAdapterTypeOrm({ dataSourceToken: getDataSourceToken() });
    const ApplicationModule = {
      module: function Application() {},
      imports: [
        TypeOrmModule.forRoot({
          type: 'postgres',
          url,
          poolSize,
          entities: [Task],
          installExtensions: false,
        }),
        ClsModule.forRoot({ plugins: [new ClsPluginTransactional({ adapter })] }),
      ],
    };
    app = await NestFactory.createApplicationContext(ApplicationModule, { logger: ['error', 'warn'] });
    cls = app.get(ClsService);
    txHost = app.get(TransactionHost);
  },
  close: () => app.close(),
  operations: typeormOperations({
    run: (tenantId, work) => asRequestOf(tenantId, () => inTransaction(work)),
  }),
});

import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { fromUser, RlsTenantsModule } from 'nestjs-rls-tenants';
import { createTestDatabase, expectIsolated } from 'nestjs-rls-tenants/testing';
import { CreateTasks1764000000000 } from './create-tasks.migration.js';
import { Task } from './task.entity.js';

it('a Nest application isolates tasks', async () => {
  const database = await createTestDatabase({
    dataSource: { entities: [Task], migrations: [CreateTasks1764000000000] },
    tenantIdType: 'uuid',
  });
  const module = await Test.createTestingModule({
    imports: [
      TypeOrmModule.forRoot({ type: 'postgres', url: database.url('app'), entities: [Task] }),
      RlsTenantsModule.forRoot({
        tenantIdType: 'uuid',
        resolveTenant: fromUser((user: { tenantId: string }) => user.tenantId),
      }),
    ],
  }).compile();
  await expectIsolated(Task, { dataSource: module.get(DataSource) });
  await module.close();
  await database.destroy();
});

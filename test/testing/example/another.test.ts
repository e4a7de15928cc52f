import { asTenant, createTestDatabase, type TestDatabase } from 'nestjs-rls-tenants/testing';
import { CreateTasks1764000000000 } from './create-tasks.migration.js';
import { Task } from './task.entity.js';

const ACME = '6f1c2d3e-0000-4000-8000-000000000001';

describe('another test file', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase({
      dataSource: { entities: [Task], migrations: [CreateTasks1764000000000] },
      tenantIdType: 'uuid',
    });
  });
  afterAll(() => database?.destroy());

  it('has a database of its own', async () => {
    const tasks = database.dataSource.getRepository(Task);
    await asTenant(ACME, () => tasks.insert({ title: 'mine' }));
    expect(await asTenant(ACME, () => tasks.count())).toBe(1);
  });
});

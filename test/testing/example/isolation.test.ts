import {
  asAdmin,
  asTenant,
  createTestDatabase,
  expectBlockedWithoutContext,
  expectIsolated,
  type TestDatabase,
} from 'nestjs-rls-tenants/testing';
import { CreateTasks1764000000000 } from './create-tasks.migration.js';
import { Task } from './task.entity.js';

const ACME = '6f1c2d3e-0000-4000-8000-000000000001';
const GLOBEX = '6f1c2d3e-0000-4000-8000-000000000002';

describe('tasks', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase({
      dataSource: { entities: [Task], migrations: [CreateTasks1764000000000] },
      tenantIdType: 'uuid',
    });
  });
  afterAll(() => database?.destroy());

  const tasks = () => database.dataSource.getRepository(Task);

  it('are isolated', async () => {
    await expectIsolated(Task, database);
  });

  it('are out of reach without a tenant', async () => {
    await expectBlockedWithoutContext(() => tasks().find(), { tenantId: ACME });
  });

  it('belong to who writes them', async () => {
    await asTenant(ACME, () => tasks().insert({ title: 'write tests' }));
    expect(await asTenant(GLOBEX, () => tasks().count())).toBe(0);
    expect(await asAdmin(() => tasks().count())).toBe(1);
  });
});

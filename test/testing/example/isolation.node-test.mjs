// Without a global set-up, a transform or decorators: the kit under Node's own test runner.
// oxlint-disable typescript/no-floating-promises -- describe() and it() of node:test are not awaited
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import {
  asTenant,
  createTestDatabase,
  expectBlockedWithoutContext,
  expectIsolated,
} from 'nestjs-rls-tenants/testing';

class Task {
  id;
  tenantId;
  title;
}
PrimaryGeneratedColumn()(Task.prototype, 'id');
TenantColumn({ type: 'uuid' })(Task.prototype, 'tenantId');
Column({ type: 'text' })(Task.prototype, 'title');
TenantScoped()(Task);
Entity()(Task);

const ACME = '6f1c2d3e-0000-4000-8000-000000000001';

describe('tasks', () => {
  let database;
  before(async () => {
    database = await createTestDatabase({ dataSource: { entities: [Task] }, tenantIdType: 'uuid' });
  });
  after(() => database?.destroy());

  it('are isolated', async () => {
    assert.ok((await expectIsolated(Task, database)).length > 20);
  });

  it('are out of reach without a tenant', async () => {
    await expectBlockedWithoutContext(() => database.dataSource.getRepository(Task).find(), {
      tenantId: ACME,
    });
  });

  it('are counted', async () => {
    assert.equal(await asTenant(ACME, () => database.dataSource.getRepository(Task).count()), 0);
  });
});

// The guide's shorter samples, so that they compile.
import { Column, Entity, ManyToOne, PrimaryGeneratedColumn, type DataSource } from 'typeorm';
import { sealKeysFromEnvironment, TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import {
  createTestDatabase,
  expectIsolated,
  tenantScopedEntities,
  type TestDatabase,
} from 'nestjs-rls-tenants/testing';
import { CreateTasks1764000000000 } from './create-tasks.migration.js';
import { Task } from './task.entity.js';

@Entity()
@TenantScoped()
export class Customer {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) vatId!: string;
}

@Entity()
@TenantScoped()
export class Invoice {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) number!: string;
  @ManyToOne(() => Customer) customer!: Customer;
}

export async function make(dataSource: DataSource): Promise<void> {
  await expectIsolated(Invoice, {
    dataSource,
    make: async (tenantId, manager) => ({
      number: `INV-${tenantId}`,
      customer: await manager.save(manager.create(Customer, { vatId: 'DE123456789' })),
    }),
  });
}

export async function every(database: TestDatabase): Promise<void> {
  for (const entity of tenantScopedEntities(database.dataSource)) await expectIsolated(entity, database);
}

export async function underASeal(): Promise<void> {
  const sealed = await createTestDatabase({
    dataSource: { entities: [Task], migrations: [CreateTasks1764000000000] },
    tenantIdType: 'uuid',
    seal: { keys: () => sealKeysFromEnvironment() },
  });

  await expectIsolated(Task, sealed);
}

// The guide's shorter samples, so that they compile.
import { Column, Entity, ManyToOne, PrimaryGeneratedColumn, type DataSource } from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import { expectIsolated, tenantScopedEntities, type TestDatabase } from 'nestjs-rls-tenants/testing';

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

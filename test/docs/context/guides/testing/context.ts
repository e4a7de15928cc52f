import { Column, Entity, ManyToOne, PrimaryGeneratedColumn } from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import type { TestDatabase } from 'nestjs-rls-tenants/testing';

export { expectIsolated, tenantScopedEntities } from 'nestjs-rls-tenants/testing';

@Entity()
@TenantScoped()
export class Customer {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column() vatId!: string;
}

@Entity()
@TenantScoped()
export class Invoice {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column() number!: string;
  @ManyToOne(() => Customer) customer!: Customer;
}

export declare const database: TestDatabase;

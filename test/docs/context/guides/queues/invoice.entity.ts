import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';

@Entity()
@TenantScoped()
export class Invoice {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column() paid!: boolean;
}

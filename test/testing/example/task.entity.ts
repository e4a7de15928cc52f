import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';

@Entity()
@TenantScoped()
export class Task {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn({ type: 'uuid' }) tenantId!: string;
  @Column({ type: 'text' }) title!: string;
}

import { Entity } from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import { TaskColumns } from './plain-task.js';

@Entity({ name: 'task', schema: 'rls' })
@TenantScoped()
export class ScopedTask extends TaskColumns {
  @TenantColumn({ type: 'uuid' }) tenantId!: string;
}

import { Entity } from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import { TaskColumns } from './plain-task.js';
import { SEALED_SETTING } from './seal.js';

@Entity({ name: 'task', schema: 'sealed' })
@TenantScoped()
export class SealedTask extends TaskColumns {
  @TenantColumn({ type: 'uuid', tenantSetting: SEALED_SETTING }) tenantId!: string;
}

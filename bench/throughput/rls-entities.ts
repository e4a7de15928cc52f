import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import { Entity, Index } from 'typeorm';
import { Task, type EntityKind } from './entities.js';

@Entity({ name: 'task', schema: 'rls' })
@TenantScoped()
@Index(['tenantId', 'createdAt'])
export class RlsTask extends Task {
  @TenantColumn() tenantId!: string;
}

export const RLS_ENTITIES: EntityKind = {
  isolation: 'rls',
  task: RlsTask,
  addTenant(entity) {
    TenantScoped()(entity);
    TenantColumn({ type: 'uuid' })(entity.prototype as object, 'tenantId');
  },
};

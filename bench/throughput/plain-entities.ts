import { Column, Entity, Index } from 'typeorm';
import { Task, type EntityKind } from './entities.js';

@Entity({ name: 'task', schema: 'plain' })
@Index(['tenantId', 'createdAt'])
export class PlainTask extends Task {
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
}

export const PLAIN_ENTITIES: EntityKind = {
  isolation: 'plain',
  task: PlainTask,
  addTenant: ({ prototype }) => Column('uuid', { name: 'tenant_id' })(prototype as object, 'tenantId'),
};

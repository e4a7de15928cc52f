import { Column, Entity } from 'typeorm';
import { TaskColumns } from '../../support/plain-task.js';

/** The table under row-level security as an application maps it that sets the setting by hand. */
@Entity({ name: 'task', schema: 'rls' })
export class HandScopedTask extends TaskColumns {
  @Column({
    type: 'uuid',
    name: 'tenant_id',
    default: () => "NULLIF(current_setting('rls.current_tenant', true), '')::uuid",
  })
  tenantId!: string;
}

export const NEW_TASK = { title: 'A new task', body: 'What is to be done', status: 'open', priority: 3 };

import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';

/** A table as products have them: eleven columns of everyday types. */
export abstract class TaskColumns {
  @PrimaryGeneratedColumn('uuid') id!: string;
  @Column({ type: 'text' }) title!: string;
  @Column({ type: 'text' }) body!: string;
  @Column({ type: 'text', default: 'open' }) status!: string;
  @Column({ type: 'integer', default: 0 }) priority!: number;
  @Column({ type: 'text', nullable: true }) assignee!: string | null;
  @Column({ type: 'boolean', default: false }) done!: boolean;
  @Column({ type: 'timestamptz', nullable: true, name: 'due_at' }) dueAt!: Date | null;
  @Column({ type: 'timestamptz', default: () => 'now()', name: 'created_at' }) createdAt!: Date;
  @Column({ type: 'timestamptz', default: () => 'now()', name: 'updated_at' }) updatedAt!: Date;
}

/** Without RLS: the application must name the tenant in each statement. */
@Entity({ name: 'task', schema: 'plain' })
export class PlainTask extends TaskColumns {
  @Column({ type: 'uuid', name: 'tenant_id' }) tenantId!: string;
}

@Entity({ name: 'task', schema: 'rls' })
@TenantScoped()
export class ScopedTask extends TaskColumns {
  @TenantColumn({ type: 'uuid' }) tenantId!: string;
}

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

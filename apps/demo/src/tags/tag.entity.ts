import { Column, Entity, ForeignKey, PrimaryGeneratedColumn, Unique } from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import { Workspace } from '../workspaces/workspace.entity.js';

/** A label that a workspace puts on its tasks. Two workspaces may use the same word; each has its own row. */
@Entity('tag')
@TenantScoped()
@Unique('tag_name_key', ['tenantId', 'name'])
export class Tag {
  @PrimaryGeneratedColumn('uuid')
  id!: string;

  @TenantColumn()
  @ForeignKey(() => Workspace, { onDelete: 'CASCADE' })
  tenantId!: string;

  @Column({ type: 'text' })
  name!: string;
}

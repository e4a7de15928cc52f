import {
  Column,
  CreateDateColumn,
  Entity,
  ForeignKey,
  OneToMany,
  PrimaryGeneratedColumn,
  Unique,
  type Relation,
} from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import { Task } from '../tasks/task.entity.js';
import { Workspace } from '../workspaces/workspace.entity.js';

/** A project of one workspace; its tasks live and die with it. */
@Entity('project')
@TenantScoped()
@Unique('project_name_key', ['tenantId', 'name'])
export class Project {
  @PrimaryGeneratedColumn('uuid')
  id!: string;

  @TenantColumn()
  @ForeignKey(() => Workspace, { onDelete: 'CASCADE' })
  tenantId!: string;

  @Column({ type: 'text' })
  name!: string;

  @Column({ type: 'text', default: '' })
  description!: string;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt!: Date;

  @OneToMany(() => Task, (task) => task.project)
  tasks?: Relation<Task[]>;
}

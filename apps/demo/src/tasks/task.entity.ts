import {
  Column,
  CreateDateColumn,
  Entity,
  ForeignKey,
  Index,
  JoinColumn,
  JoinTable,
  ManyToMany,
  ManyToOne,
  PrimaryGeneratedColumn,
  type Relation,
} from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import { Project } from '../projects/project.entity.js';
import { Tag } from '../tags/tag.entity.js';
import { AppUser } from '../users/app-user.entity.js';
import { Workspace } from '../workspaces/workspace.entity.js';

export const TASK_STATUSES = ['todo', 'in_progress', 'done'] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

export const TASK_PRIORITIES = ['low', 'normal', 'high'] as const;
export type TaskPriority = (typeof TASK_PRIORITIES)[number];

/** Something to be done in a project. */
@Entity('task')
@TenantScoped()
@Index('task_tenant_status_idx', ['tenantId', 'status'])
@Index('task_tenant_project_idx', ['tenantId', 'project'])
export class Task {
  @PrimaryGeneratedColumn('uuid')
  id!: string;

  @TenantColumn()
  @ForeignKey(() => Workspace, { onDelete: 'CASCADE' })
  tenantId!: string;

  @Column({ type: 'text' })
  title!: string;

  @Column({ type: 'enum', enum: TASK_STATUSES, enumName: 'task_status', default: 'todo' })
  status!: TaskStatus;

  @Column({ type: 'enum', enum: TASK_PRIORITIES, enumName: 'task_priority', default: 'normal' })
  priority!: TaskPriority;

  @Column({ name: 'due_date', type: 'date', nullable: true })
  dueDate!: string | null;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt!: Date;

  @ManyToOne(() => Project, (project) => project.tasks, { nullable: false, onDelete: 'CASCADE' })
  @JoinColumn({ name: 'project_id' })
  project!: Relation<Project>;

  @ManyToOne(() => AppUser, { nullable: true })
  @JoinColumn({ name: 'assignee_id' })
  assignee!: Relation<AppUser> | null;

  @ManyToMany(() => Tag)
  @JoinTable({ name: 'task_tag', joinColumn: { name: 'task_id' }, inverseJoinColumn: { name: 'tag_id' } })
  tags!: Tag[];
}

import 'reflect-metadata';
import {
  Column,
  Entity,
  JoinColumn,
  JoinTable,
  ManyToMany,
  ManyToOne,
  PrimaryGeneratedColumn,
  type Relation,
} from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';

@Entity('project')
@TenantScoped()
export class Project {
  @PrimaryGeneratedColumn('identity', { type: 'bigint' }) id!: string;
  @TenantColumn() tenantId!: string;
  @Column('text') name!: string;
}

@Entity('tag')
@TenantScoped()
export class Tag {
  @PrimaryGeneratedColumn('identity', { type: 'bigint' }) id!: string;
  @TenantColumn() tenantId!: string;
  @Column('text') name!: string;
}

@Entity('task')
@TenantScoped()
export class Task {
  @PrimaryGeneratedColumn('identity', { type: 'bigint' }) id!: string;
  @TenantColumn() tenantId!: string;
  @ManyToOne(() => Project) @JoinColumn({ name: 'project_id' }) project!: Relation<Project>;
  @Column('text') status!: string;
  @Column('numeric', { precision: 10, scale: 2 }) amount!: string;
  @Column('text') title!: string;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @ManyToMany(() => Tag)
  @JoinTable({
    name: 'task_tag',
    joinColumn: { name: 'task_id' },
    inverseJoinColumn: { name: 'tag_id' },
  })
  tags!: Relation<Tag>[];
}

@Entity('comment')
@TenantScoped()
export class Comment {
  @PrimaryGeneratedColumn('identity', { type: 'bigint' }) id!: string;
  @TenantColumn() tenantId!: string;
  @ManyToOne(() => Task) @JoinColumn({ name: 'task_id' }) task!: Relation<Task>;
  @Column('text') body!: string;
}

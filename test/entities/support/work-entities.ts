import {
  Column,
  Entity,
  Index,
  JoinColumn,
  JoinTable,
  ManyToMany,
  ManyToOne,
  OneToMany,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  Unique,
} from 'typeorm';
import type { TenantIdType } from '../../../libs/rls-tenants/src/context/tenant-id.js';
import { TenantColumn, TenantScoped } from '../../../libs/rls-tenants/src/entities/index.js';

/** Two tenants of each type, as TypeORM loads them. */
export const TENANTS = {
  uuid: ['00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b'],
  integer: [1, 2],
  bigint: ['9007199254740993', '9007199254740994'],
  text: ['acme', "o'neil"],
} as const satisfies Record<TenantIdType, readonly [string | number, string | number]>;

/**
 * Workspaces are the tenants (their table is global). Projects have tasks, tasks have tags (many-to-many), a reviewer
 * that may vanish, and countries, which belong to nobody.
 */
export function workEntities(type: TenantIdType) {
  abstract class TenantOwned {
    @PrimaryGeneratedColumn() id!: number;
    @TenantColumn({ type }) tenantId!: string | number;
  }

  @Entity('workspace')
  class Workspace {
    @PrimaryColumn({ type }) id!: string | number;
  }

  @Entity('country')
  class Country {
    @PrimaryGeneratedColumn() id!: number;
    @Column('text') name!: string;
  }

  @Entity('member')
  @TenantScoped()
  @Unique(['tenantId', 'email'])
  class Member extends TenantOwned {
    @Column('text') email!: string;
    @Column('text', { default: '' }) name!: string;
  }

  @Entity('project')
  @TenantScoped()
  class Project extends TenantOwned {
    @Column('text') title!: string;
    @ManyToOne(() => Workspace, { onDelete: 'CASCADE' })
    @JoinColumn({ name: 'tenant_id' })
    workspace!: Workspace;
    @OneToMany(() => Task, (task) => task.project, { cascade: true }) tasks!: Task[];
  }

  @Entity('tag')
  @TenantScoped()
  class Tag extends TenantOwned {
    @Column('text') name!: string;
  }

  @Entity('task')
  @TenantScoped()
  class Task extends TenantOwned {
    @Index() @Column('text') title!: string;
    @ManyToOne(() => Project, (project) => project.tasks, { onDelete: 'CASCADE' }) project!: Project | null;
    @ManyToOne(() => Member, { onDelete: 'SET NULL' })
    @JoinColumn({ name: 'reviewer_id' })
    reviewer!: Member | null;
    @ManyToMany(() => Tag, { cascade: true }) @JoinTable() tags!: Tag[];
    @ManyToMany(() => Country) @JoinTable() countries!: Country[];
  }

  return { Workspace, Country, Member, Project, Tag, Task };
}

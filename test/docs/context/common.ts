// What samples on many pages take for granted: a small application like that of the quick start.
import {
  Column,
  Entity,
  ManyToOne,
  PrimaryGeneratedColumn,
  type DataSource,
  type QueryRunner,
} from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';

export interface User {
  id: string;
  tenantId: string;
}

/** A global table. */
@Entity()
export class Tenant {
  @PrimaryGeneratedColumn('uuid') id!: string;
}

@Entity()
@TenantScoped()
export class Project {
  @PrimaryGeneratedColumn('uuid') id!: string;
  @TenantColumn() tenantId!: string;
  @Column() name!: string;
}

@Entity()
@TenantScoped()
export class Task {
  @PrimaryGeneratedColumn('uuid') id!: string;
  @TenantColumn() tenantId!: string;
  @Column() title!: string;
  @Column() done!: boolean;
  @Column() due!: Date;
  @ManyToOne(() => Project) project!: Project;
}

/** Counts what was finished. */
@Entity()
@TenantScoped()
export class Finished {
  @PrimaryGeneratedColumn('uuid') id!: string;
  @TenantColumn() tenantId!: string;
  @Column() taskId!: string;
}

export declare const tenantId: string;
export declare const dataSource: DataSource;
export declare const queryRunner: QueryRunner;

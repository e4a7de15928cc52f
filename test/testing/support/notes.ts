import { Column, Entity, JoinTable, ManyToMany, ManyToOne, PrimaryGeneratedColumn, Unique } from 'typeorm';
import { TenantColumn, TenantScoped } from '../../../libs/rls-tenants/src/entities/index.js';

@Entity()
@TenantScoped()
export class Folder {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
}

@Entity()
@TenantScoped()
export class Topic {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
}

/** What the suites of broken set-ups break. */
@Entity()
@TenantScoped()
@Unique('slug_in_tenant', ['tenantId', 'slug'])
export class Note {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) slug!: string;
  @ManyToOne(() => Folder, { nullable: false }) folder!: Folder;
  @ManyToMany(() => Topic) @JoinTable({ name: 'note_topic' }) topics!: Topic[];
}

@Entity()
export class Country {
  @PrimaryGeneratedColumn() id!: number;
}

export const NOTES = [Folder, Topic, Note, Country];

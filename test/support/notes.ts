import { Column, Entity, JoinTable, ManyToMany, ManyToOne, OneToMany, PrimaryGeneratedColumn } from 'typeorm';
import { TenantColumn, TenantScoped } from '../../libs/rls-tenants/src/entities/index.js';

/** The tenants of the connection suites: notebooks hold notes, notes have tags (many-to-many). */
@Entity()
@TenantScoped()
export class Notebook {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) title!: string;
  @OneToMany(() => Note, (note) => note.notebook, { cascade: ['insert'] }) notes!: Note[];
}

@Entity()
@TenantScoped()
export class Note {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) body!: string;
  @ManyToOne(() => Notebook, (notebook) => notebook.notes, { nullable: true }) notebook!: Notebook | null;
  @ManyToOne(() => Notebook, { nullable: true, lazy: true }) archive!: Promise<Notebook | null>;
  @ManyToMany(() => Tag, (tag) => tag.notes, { cascade: ['insert'] }) @JoinTable() tags!: Tag[];
}

@Entity()
@TenantScoped()
export class Tag {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) name!: string;
  @ManyToMany(() => Note, (note) => note.tags) notes!: Note[];
}

/** A global table: no tenant column, no policy. */
@Entity()
export class Country {
  @PrimaryGeneratedColumn() id!: number;
  @Column({ type: 'text' }) name!: string;
}

export const NOTES = [Notebook, Note, Tag, Country];

/** The n-th tenant of a suite. */
export function tenant(n: number): string {
  return `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
}

export const A = tenant(1);
export const B = tenant(2);

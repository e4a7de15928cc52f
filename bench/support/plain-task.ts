import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

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

/**
 * Without RLS: the application must name the tenant in each statement. In a module of its own, because whoever loads
 * the library loads nestjs-cls, which turns on the promise hooks of Node.js: a tenth of a statement's CPU time, and the library's to answer for.
 */
@Entity({ name: 'task', schema: 'plain' })
export class PlainTask extends TaskColumns {
  @Column({ type: 'uuid', name: 'tenant_id' }) tenantId!: string;
}

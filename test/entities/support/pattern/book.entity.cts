import { Entity, ManyToOne, PrimaryGeneratedColumn } from 'typeorm';
import { TenantColumn, TenantScoped } from '../../../../libs/rls-tenants/src/entities/index.js';

@Entity()
@TenantScoped()
export class Book {
  @PrimaryGeneratedColumn('uuid') id!: string;
  @TenantColumn() tenantId!: string;
}

@Entity()
@TenantScoped()
export class Page {
  @PrimaryGeneratedColumn('uuid') id!: string;
  @TenantColumn() tenantId!: string;
  @ManyToOne(() => Book, { onDelete: 'SET NULL' }) book!: Book | null;
}

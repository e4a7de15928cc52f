import { Column, CreateDateColumn, Entity, PrimaryGeneratedColumn } from 'typeorm';

/**
 * A workspace is a tenant: its id is the tenant id of every other table. The table itself is global, because it holds
 * nothing but names and has no tenant to belong to; grants, not policies, protect it (the app role cannot change or
 * delete a workspace).
 */
@Entity('workspace')
export class Workspace {
  @PrimaryGeneratedColumn('uuid')
  id!: string;

  @Column({ type: 'text' })
  name!: string;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt!: Date;
}

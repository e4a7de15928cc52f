import { Column, Entity, ForeignKey, PrimaryGeneratedColumn, Unique } from 'typeorm';
import { TenantColumn, TenantScoped } from 'nestjs-rls-tenants';
import { Workspace } from '../workspaces/workspace.entity.js';

/**
 * A member of one workspace. The table is tenant-scoped like the rest: names, addresses and password hashes are the
 * last thing that a neighbour should reach through a careless query. The price is that signing in, which starts from
 * an address and no tenant, looks the account up in an admin context with a stated reason (`AuthService`).
 */
@Entity('app_user')
@TenantScoped()
@Unique('app_user_email_key', ['email'])
export class AppUser {
  @PrimaryGeneratedColumn('uuid')
  id!: string;

  @TenantColumn()
  @ForeignKey(() => Workspace, { onDelete: 'CASCADE' })
  tenantId!: string;

  @Column({ type: 'text' })
  name!: string;

  /** Lower case. Unique over all workspaces, because it decides which one a sign-in enters. */
  @Column({ type: 'text' })
  email!: string;

  @Column({ name: 'job_title', type: 'text' })
  jobTitle!: string;

  /** Never selected unless asked for by name. */
  @Column({ name: 'password_hash', type: 'text', select: false })
  passwordHash!: string;
}

import { protectJoinTable, protectTable, RlsMigration, runSql } from 'nestjs-rls-tenants/migrations';

// A migration is history: it states the names of its day instead of reading them from the application.
const settings = { tenantIdType: 'uuid', appRole: 'demo_app', adminRole: 'rls_admin' } as const;

/** From here on PostgreSQL keeps the workspaces apart: policies on every table but `workspace` itself. */
export class ProtectTenants1764000000001 extends RlsMigration {
  readonly name = 'ProtectTenants1764000000001';

  readonly operations = [
    protectTable({ table: 'app_user', ...settings }),
    protectTable({ table: 'project', ...settings }),
    protectTable({ table: 'tag', ...settings }),
    protectTable({ table: 'task', ...settings }),
    protectJoinTable({ joinTable: 'task_tag', form: 'existing-column', ...settings }),
    // Without a policy, the global table has only its grants: requests may read workspaces and add one, no more.
    runSql(
      'REVOKE UPDATE, DELETE ON "workspace" FROM "demo_app"',
      'GRANT UPDATE, DELETE ON "workspace" TO "demo_app"',
    ),
  ];
}

import { grantTable, RlsMigration } from 'nestjs-rls-tenants/migrations';

const role = 'demo_console';

/** What visitors may do in the console. Workspaces and accounts are everybody's to sign in with: they are only read. */
export class GrantConsole1764000000010 extends RlsMigration {
  readonly name = 'GrantConsole1764000000010';

  readonly operations = [
    grantTable({ table: 'workspace', role, privileges: ['SELECT'] }),
    grantTable({ table: 'app_user', role, privileges: ['SELECT'] }),
    grantTable({ table: 'project', role }),
    grantTable({ table: 'tag', role }),
    grantTable({ table: 'task', role }),
    grantTable({ table: 'task_tag', role }),
  ];
}

import { RlsMigration, sealJoinTable, sealTable } from 'nestjs-rls-tenants/migrations';
import { settings } from './settings.js';

/** From here on the setting alone makes nobody a tenant. Each policy is altered in place: no table is ever without one. */
export class SealTables1764000000009 extends RlsMigration {
  readonly name = 'SealTables1764000000009';

  readonly operations = [
    sealTable({ table: 'app_user', ...settings }),
    sealTable({ table: 'tag', ...settings }),
    sealTable({ table: 'project', ...settings }),
    sealTable({ table: 'task', ...settings }),
    sealJoinTable({ joinTable: 'task_tag', form: 'existing-column', ...settings }),
  ];
}

import { protectTable, RlsMigration, runSql } from 'nestjs-rls-tenants/migrations';

export class CreateTasks1764000000000 extends RlsMigration {
  readonly operations = [
    runSql(
      'CREATE TABLE task (id serial PRIMARY KEY, tenant_id uuid NOT NULL, title text NOT NULL)',
      'DROP TABLE task',
    ),
    protectTable({ table: 'task', tenantIdType: 'uuid', appRole: 'app' }),
  ];
}

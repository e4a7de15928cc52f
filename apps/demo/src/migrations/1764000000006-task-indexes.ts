import { concurrentIndex, ConcurrentMigration } from 'nestjs-rls-tenants/migrations';

/** The indexes of one table, apart from it: they can fail, and be built by hand, without it. */
export class TaskIndexes1764000000006 extends ConcurrentMigration {
  readonly name = 'TaskIndexes1764000000006';

  readonly operations = [
    concurrentIndex({ table: 'task', name: 'task_tenant_project_idx', columns: ['tenant_id', 'project_id'] }),
    concurrentIndex({ table: 'task', name: 'task_tenant_status_idx', columns: ['tenant_id', 'status'] }),
  ];
}

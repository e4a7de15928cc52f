import { concurrentIndex, ConcurrentMigration } from 'nestjs-rls-tenants/migrations';

/** For both ways through the join table. */
export class TaskTagIndexes1764000000007 extends ConcurrentMigration {
  readonly name = 'TaskTagIndexes1764000000007';

  readonly operations = [
    concurrentIndex({
      table: 'task_tag',
      name: 'IDX_309b309e721fad5dabce5affc4',
      columns: ['tenant_id', 'task_id'],
    }),
    concurrentIndex({
      table: 'task_tag',
      name: 'IDX_8b36dd6e574e5bc53e2f7ef7e1',
      columns: ['tenant_id', 'tag_id'],
    }),
  ];
}

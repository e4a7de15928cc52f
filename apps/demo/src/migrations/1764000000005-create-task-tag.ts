import { protectJoinTable, RlsMigration, runSql } from 'nestjs-rls-tenants/migrations';
import { settings } from './settings.js';

/** The join table of tasks and tags. Its tenant column is in the entities' metadata. */
export class CreateTaskTag1764000000005 extends RlsMigration {
  readonly name = 'CreateTaskTag1764000000005';

  readonly operations = [
    runSql(
      `CREATE TABLE "task_tag" (
        "task_id" uuid NOT NULL,
        "tag_id" uuid NOT NULL,
        "tenant_id" uuid NOT NULL DEFAULT (NULLIF(current_setting('rls.current_tenant', true), ''))::uuid,
        CONSTRAINT "PK_9bd1d11e72e0471503a8c07b5dd" PRIMARY KEY ("task_id", "tag_id"),
        CONSTRAINT "FK_309b309e721fad5dabce5affc4a" FOREIGN KEY ("tenant_id", "task_id") REFERENCES "task"("tenant_id","id") ON DELETE CASCADE ON UPDATE CASCADE,
        CONSTRAINT "FK_8b36dd6e574e5bc53e2f7ef7e15" FOREIGN KEY ("tenant_id", "tag_id") REFERENCES "tag"("tenant_id","id") ON DELETE CASCADE ON UPDATE CASCADE
      )`,
      `DROP TABLE "task_tag"`,
    ),
    protectJoinTable({ joinTable: 'task_tag', form: 'existing-column', ...settings }),
  ];
}

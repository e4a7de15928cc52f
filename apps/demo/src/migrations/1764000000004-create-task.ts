import { protectTable, RlsMigration, runSql } from 'nestjs-rls-tenants/migrations';
import { settings } from './settings.js';

/** The composite foreign keys are in the entities' metadata, so TypeORM writes them by itself. */
export class CreateTask1764000000004 extends RlsMigration {
  readonly name = 'CreateTask1764000000004';

  readonly operations = [
    runSql(
      `CREATE TYPE "public"."task_status" AS ENUM('todo', 'in_progress', 'done')`,
      `DROP TYPE "public"."task_status"`,
    ),
    runSql(
      `CREATE TYPE "public"."task_priority" AS ENUM('low', 'normal', 'high')`,
      `DROP TYPE "public"."task_priority"`,
    ),
    // rls-lint-ignore MIG064: a workspace has some hundred tasks, and its index entries are read in no time
    runSql(
      `CREATE TABLE "task" (
        "id" uuid NOT NULL DEFAULT gen_random_uuid(),
        "tenant_id" uuid NOT NULL DEFAULT (NULLIF(current_setting('rls.current_tenant', true), ''))::uuid,
        "title" text NOT NULL,
        "status" "public"."task_status" NOT NULL DEFAULT 'todo',
        "priority" "public"."task_priority" NOT NULL DEFAULT 'normal',
        "due_date" date,
        "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
        "project_id" uuid NOT NULL,
        "assignee_id" uuid,
        CONSTRAINT "UQ_a0c7fd0e5e1b991a2af47cb0686" UNIQUE ("tenant_id", "id"),
        CONSTRAINT "PK_fb213f79ee45060ba925ecd576e" PRIMARY KEY ("id"),
        CONSTRAINT "FK_6f96011a325048dd3a3710ad803" FOREIGN KEY ("tenant_id", "project_id") REFERENCES "project"("tenant_id","id") ON DELETE CASCADE ON UPDATE NO ACTION,
        CONSTRAINT "FK_f4da2410b471eddb82033388410" FOREIGN KEY ("tenant_id", "assignee_id") REFERENCES "app_user"("tenant_id","id") ON DELETE NO ACTION ON UPDATE NO ACTION,
        CONSTRAINT "FK_170e4a4133f187c90053c517dd8" FOREIGN KEY ("tenant_id") REFERENCES "workspace"("id") ON DELETE CASCADE ON UPDATE NO ACTION
      )`,
      `DROP TABLE "task"`,
    ),
    protectTable({ table: 'task', ...settings }),
  ];
}

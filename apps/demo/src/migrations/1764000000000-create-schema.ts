import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The tables, as `migration:generate` writes them. The tenant columns with their defaults, the composite foreign keys
 * and the tenant column of the join table are in the entities' metadata, so TypeORM writes them by itself.
 */
export class CreateSchema1764000000000 implements MigrationInterface {
  readonly name = 'CreateSchema1764000000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(
      `CREATE TABLE "workspace" ("id" uuid NOT NULL DEFAULT gen_random_uuid(), "name" text NOT NULL, "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(), CONSTRAINT "PK_ca86b6f9b3be5fe26d307d09b49" PRIMARY KEY ("id"))`,
    );
    await queryRunner.query(
      `CREATE TABLE "tag" ("id" uuid NOT NULL DEFAULT gen_random_uuid(), "tenant_id" uuid NOT NULL DEFAULT (NULLIF(current_setting('rls.current_tenant', true), ''))::uuid, "name" text NOT NULL, CONSTRAINT "tag_name_key" UNIQUE ("tenant_id", "name"), CONSTRAINT "UQ_f762fb1126cb96318d2195127b7" UNIQUE ("tenant_id", "id"), CONSTRAINT "PK_8e4052373c579afc1471f526760" PRIMARY KEY ("id"))`,
    );
    await queryRunner.query(
      `CREATE TABLE "app_user" ("id" uuid NOT NULL DEFAULT gen_random_uuid(), "tenant_id" uuid NOT NULL DEFAULT (NULLIF(current_setting('rls.current_tenant', true), ''))::uuid, "name" text NOT NULL, "email" text NOT NULL, "job_title" text NOT NULL, "password_hash" text NOT NULL, CONSTRAINT "app_user_email_key" UNIQUE ("email"), CONSTRAINT "UQ_07b781e60f47bda79b4a019eb16" UNIQUE ("tenant_id", "id"), CONSTRAINT "PK_22a5c4a3d9b2fb8e4e73fc4ada1" PRIMARY KEY ("id"))`,
    );
    await queryRunner.query(`CREATE TYPE "public"."task_status" AS ENUM('todo', 'in_progress', 'done')`);
    await queryRunner.query(`CREATE TYPE "public"."task_priority" AS ENUM('low', 'normal', 'high')`);
    await queryRunner.query(
      `CREATE TABLE "task" ("id" uuid NOT NULL DEFAULT gen_random_uuid(), "tenant_id" uuid NOT NULL DEFAULT (NULLIF(current_setting('rls.current_tenant', true), ''))::uuid, "title" text NOT NULL, "status" "public"."task_status" NOT NULL DEFAULT 'todo', "priority" "public"."task_priority" NOT NULL DEFAULT 'normal', "due_date" date, "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(), "project_id" uuid NOT NULL, "assignee_id" uuid, CONSTRAINT "UQ_a0c7fd0e5e1b991a2af47cb0686" UNIQUE ("tenant_id", "id"), CONSTRAINT "PK_fb213f79ee45060ba925ecd576e" PRIMARY KEY ("id"))`,
    );
    await queryRunner.query(`CREATE INDEX "task_tenant_project_idx" ON "task" ("tenant_id", "project_id")`);
    await queryRunner.query(`CREATE INDEX "task_tenant_status_idx" ON "task" ("tenant_id", "status")`);
    await queryRunner.query(
      `CREATE TABLE "project" ("id" uuid NOT NULL DEFAULT gen_random_uuid(), "tenant_id" uuid NOT NULL DEFAULT (NULLIF(current_setting('rls.current_tenant', true), ''))::uuid, "name" text NOT NULL, "description" text NOT NULL DEFAULT '', "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(), CONSTRAINT "project_name_key" UNIQUE ("tenant_id", "name"), CONSTRAINT "UQ_7bb0800262f551f64836f8c7061" UNIQUE ("tenant_id", "id"), CONSTRAINT "PK_4d68b1358bb5b766d3e78f32f57" PRIMARY KEY ("id"))`,
    );
    await queryRunner.query(
      `CREATE TABLE "task_tag" ("task_id" uuid NOT NULL, "tag_id" uuid NOT NULL, "tenant_id" uuid NOT NULL DEFAULT (NULLIF(current_setting('rls.current_tenant', true), ''))::uuid, CONSTRAINT "PK_9bd1d11e72e0471503a8c07b5dd" PRIMARY KEY ("task_id", "tag_id"))`,
    );
    await queryRunner.query(
      `CREATE INDEX "IDX_309b309e721fad5dabce5affc4" ON "task_tag" ("tenant_id", "task_id")`,
    );
    await queryRunner.query(
      `CREATE INDEX "IDX_8b36dd6e574e5bc53e2f7ef7e1" ON "task_tag" ("tenant_id", "tag_id")`,
    );
    await queryRunner.query(
      `ALTER TABLE "tag" ADD CONSTRAINT "FK_9b708ddb562dda650d6b679fb1e" FOREIGN KEY ("tenant_id") REFERENCES "workspace"("id") ON DELETE CASCADE ON UPDATE NO ACTION`,
    );
    await queryRunner.query(
      `ALTER TABLE "app_user" ADD CONSTRAINT "FK_29ed668eb2c458a129aa6bbd31a" FOREIGN KEY ("tenant_id") REFERENCES "workspace"("id") ON DELETE CASCADE ON UPDATE NO ACTION`,
    );
    await queryRunner.query(
      `ALTER TABLE "task" ADD CONSTRAINT "FK_6f96011a325048dd3a3710ad803" FOREIGN KEY ("tenant_id", "project_id") REFERENCES "project"("tenant_id","id") ON DELETE CASCADE ON UPDATE NO ACTION`,
    );
    await queryRunner.query(
      `ALTER TABLE "task" ADD CONSTRAINT "FK_f4da2410b471eddb82033388410" FOREIGN KEY ("tenant_id", "assignee_id") REFERENCES "app_user"("tenant_id","id") ON DELETE NO ACTION ON UPDATE NO ACTION`,
    );
    await queryRunner.query(
      `ALTER TABLE "task" ADD CONSTRAINT "FK_170e4a4133f187c90053c517dd8" FOREIGN KEY ("tenant_id") REFERENCES "workspace"("id") ON DELETE CASCADE ON UPDATE NO ACTION`,
    );
    await queryRunner.query(
      `ALTER TABLE "project" ADD CONSTRAINT "FK_7f7b75f9324d8855b824d6d22a4" FOREIGN KEY ("tenant_id") REFERENCES "workspace"("id") ON DELETE CASCADE ON UPDATE NO ACTION`,
    );
    await queryRunner.query(
      `ALTER TABLE "task_tag" ADD CONSTRAINT "FK_309b309e721fad5dabce5affc4a" FOREIGN KEY ("tenant_id", "task_id") REFERENCES "task"("tenant_id","id") ON DELETE CASCADE ON UPDATE CASCADE`,
    );
    await queryRunner.query(
      `ALTER TABLE "task_tag" ADD CONSTRAINT "FK_8b36dd6e574e5bc53e2f7ef7e15" FOREIGN KEY ("tenant_id", "tag_id") REFERENCES "tag"("tenant_id","id") ON DELETE CASCADE ON UPDATE CASCADE`,
    );
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`DROP TABLE "task_tag"`);
    await queryRunner.query(`DROP TABLE "task"`);
    await queryRunner.query(`DROP TABLE "project"`);
    await queryRunner.query(`DROP TABLE "tag"`);
    await queryRunner.query(`DROP TABLE "app_user"`);
    await queryRunner.query(`DROP TABLE "workspace"`);
    await queryRunner.query(`DROP TYPE "public"."task_priority"`);
    await queryRunner.query(`DROP TYPE "public"."task_status"`);
  }
}

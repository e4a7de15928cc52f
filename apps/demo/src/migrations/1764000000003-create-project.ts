import { protectTable, RlsMigration, runSql } from 'nestjs-rls-tenants/migrations';
import { settings } from './settings.js';

/** What tasks belong to. */
export class CreateProject1764000000003 extends RlsMigration {
  readonly name = 'CreateProject1764000000003';

  readonly operations = [
    runSql(
      `CREATE TABLE "project" (
        "id" uuid NOT NULL DEFAULT gen_random_uuid(),
        "tenant_id" uuid NOT NULL DEFAULT (NULLIF(current_setting('rls.current_tenant', true), ''))::uuid,
        "name" text NOT NULL,
        "description" text NOT NULL DEFAULT '',
        "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
        CONSTRAINT "project_name_key" UNIQUE ("tenant_id", "name"),
        CONSTRAINT "UQ_7bb0800262f551f64836f8c7061" UNIQUE ("tenant_id", "id"),
        CONSTRAINT "PK_4d68b1358bb5b766d3e78f32f57" PRIMARY KEY ("id"),
        CONSTRAINT "FK_7f7b75f9324d8855b824d6d22a4" FOREIGN KEY ("tenant_id") REFERENCES "workspace"("id") ON DELETE CASCADE ON UPDATE NO ACTION
      )`,
      `DROP TABLE "project"`,
    ),
    protectTable({ table: 'project', ...settings }),
  ];
}

import { protectTable, RlsMigration, runSql } from 'nestjs-rls-tenants/migrations';
import { settings } from './settings.js';

/** The table as `migration:generate` writes it, and PostgreSQL keeps the workspaces apart from its first row on. */
export class CreateAppUser1764000000001 extends RlsMigration {
  readonly name = 'CreateAppUser1764000000001';

  readonly operations = [
    // rls-lint-ignore MIG061: people sign in by their address before their workspace is known
    runSql(
      `CREATE TABLE "app_user" (
        "id" uuid NOT NULL DEFAULT gen_random_uuid(),
        "tenant_id" uuid NOT NULL DEFAULT (NULLIF(current_setting('rls.current_tenant', true), ''))::uuid,
        "name" text NOT NULL,
        "email" text NOT NULL,
        "job_title" text NOT NULL,
        "password_hash" text NOT NULL,
        CONSTRAINT "app_user_email_key" UNIQUE ("email"),
        CONSTRAINT "UQ_07b781e60f47bda79b4a019eb16" UNIQUE ("tenant_id", "id"),
        CONSTRAINT "PK_22a5c4a3d9b2fb8e4e73fc4ada1" PRIMARY KEY ("id"),
        CONSTRAINT "FK_29ed668eb2c458a129aa6bbd31a" FOREIGN KEY ("tenant_id") REFERENCES "workspace"("id") ON DELETE CASCADE ON UPDATE NO ACTION
      )`,
      `DROP TABLE "app_user"`,
    ),
    protectTable({ table: 'app_user', ...settings }),
  ];
}

import { protectTable, RlsMigration, runSql } from 'nestjs-rls-tenants/migrations';
import { settings } from './settings.js';

/** What tasks are labelled with. */
export class CreateTag1764000000002 extends RlsMigration {
  readonly name = 'CreateTag1764000000002';

  readonly operations = [
    runSql(
      `CREATE TABLE "tag" (
        "id" uuid NOT NULL DEFAULT gen_random_uuid(),
        "tenant_id" uuid NOT NULL DEFAULT (NULLIF(current_setting('rls.current_tenant', true), ''))::uuid,
        "name" text NOT NULL,
        CONSTRAINT "tag_name_key" UNIQUE ("tenant_id", "name"),
        CONSTRAINT "UQ_f762fb1126cb96318d2195127b7" UNIQUE ("tenant_id", "id"),
        CONSTRAINT "PK_8e4052373c579afc1471f526760" PRIMARY KEY ("id"),
        CONSTRAINT "FK_9b708ddb562dda650d6b679fb1e" FOREIGN KEY ("tenant_id") REFERENCES "workspace"("id") ON DELETE CASCADE ON UPDATE NO ACTION
      )`,
      `DROP TABLE "tag"`,
    ),
    protectTable({ table: 'tag', ...settings }),
  ];
}

import { RlsMigration, runSql } from 'nestjs-rls-tenants/migrations';

/** The tenants themselves. Without a policy, the global table has only its grants: requests may read workspaces and add one, no more. */
export class CreateWorkspace1764000000000 extends RlsMigration {
  readonly name = 'CreateWorkspace1764000000000';

  readonly operations = [
    runSql(
      `CREATE TABLE "workspace" (
        "id" uuid NOT NULL DEFAULT gen_random_uuid(),
        "name" text NOT NULL,
        "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
        CONSTRAINT "PK_ca86b6f9b3be5fe26d307d09b49" PRIMARY KEY ("id")
      )`,
      `DROP TABLE "workspace"`,
    ),
    runSql(
      `REVOKE UPDATE, DELETE ON "workspace" FROM "demo_app"`,
      `GRANT UPDATE, DELETE ON "workspace" TO "demo_app"`,
    ),
  ];
}

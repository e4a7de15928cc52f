import { RlsMigration, runSql } from 'nestjs-rls-tenants/migrations';

/**
 * What people write has no planner statistics. They are made over all workspaces, and whoever may run EXPLAIN could spell
 * out from the estimates what is frequent in another one. No query plans by these columns.
 */
export class NoStatisticsOfTexts1764000000011 extends RlsMigration {
  readonly name = 'NoStatisticsOfTexts1764000000011';

  readonly operations = [
    runSql(
      `ALTER TABLE "app_user" ALTER COLUMN "name" SET STATISTICS 0, ALTER COLUMN "email" SET STATISTICS 0, ALTER COLUMN "job_title" SET STATISTICS 0, ALTER COLUMN "password_hash" SET STATISTICS 0`,
      `ALTER TABLE "app_user" ALTER COLUMN "name" SET STATISTICS -1, ALTER COLUMN "email" SET STATISTICS -1, ALTER COLUMN "job_title" SET STATISTICS -1, ALTER COLUMN "password_hash" SET STATISTICS -1`,
    ),
    runSql(
      `ALTER TABLE "project" ALTER COLUMN "name" SET STATISTICS 0, ALTER COLUMN "description" SET STATISTICS 0`,
      `ALTER TABLE "project" ALTER COLUMN "name" SET STATISTICS -1, ALTER COLUMN "description" SET STATISTICS -1`,
    ),
    runSql(
      `ALTER TABLE "tag" ALTER COLUMN "name" SET STATISTICS 0`,
      `ALTER TABLE "tag" ALTER COLUMN "name" SET STATISTICS -1`,
    ),
    runSql(
      `ALTER TABLE "task" ALTER COLUMN "title" SET STATISTICS 0`,
      `ALTER TABLE "task" ALTER COLUMN "title" SET STATISTICS -1`,
    ),
  ];
}

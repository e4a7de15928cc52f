import { Module } from '@nestjs/common';
import { CheckRlsCommand } from './check-rls.command.js';
import { ConsolidateSchemasCommand } from './consolidate-schemas.command.js';
import { GenerateMigrationCommand } from './generate-migration.command.js';
import { MigrateCommand } from './migrate.command.js';
import { LintMigrationsCommand } from './lint-migrations.command.js';
import { SealKeysCommand } from './seal-keys.command.js';
import { SetupM2mRlsCommand } from './setup-m2m-rls.command.js';
import { SetupRolesCommand } from './setup-roles.command.js';
import { SplitMigrationCommand } from './split-migration.command.js';

/** The commands of the bin `rls-tenants`. */
@Module({
  providers: [
    CheckRlsCommand,
    ConsolidateSchemasCommand,
    GenerateMigrationCommand,
    LintMigrationsCommand,
    MigrateCommand,
    SealKeysCommand,
    SetupM2mRlsCommand,
    SetupRolesCommand,
    SplitMigrationCommand,
  ],
})
export class RlsCliModule {}

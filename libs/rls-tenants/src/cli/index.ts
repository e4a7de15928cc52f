export { CheckRlsCommand, DEFAULT_DATA_SOURCE, type DataSourceLoader } from './check-rls.command.js';
export { RlsCliModule } from './cli.module.js';
export { ExitCode } from './exit-code.js';
export { exitAfterOutput, runCli } from './run-cli.js';
export { SetupRolesCommand } from './setup-roles.command.js';
export { MIGRATION_DATA_SOURCE, MigrateCommand } from './migrate.command.js';
export { LintMigrationsCommand } from './lint-migrations.command.js';
export { ConsolidateSchemasCommand } from './consolidate-schemas.command.js';
export { GenerateMigrationCommand } from './generate-migration.command.js';

import { Command, Help, Option } from 'nest-commander';
import { DEFAULT_ADMIN_ROLE } from '../policies/index.js';
import { processOutput } from './cli-output.js';
import { DEFAULT_DIR, generateMigration, type GenerateMigrationOptions } from './generate-migration.js';
import { MigrationDataSourceCommand } from './migration-data-source.command.js';

interface GenerateMigrationCommandOptions extends GenerateMigrationOptions {
  dataSource?: string;
}

/**
 * `rls-tenants generate-migration NAME`: migrations from the difference between entities and database. Counterpart of
 * TypeORM's `migration:generate` and Django's `makemigrations`.
 */
@Command({
  name: 'generate-migration',
  arguments: '<name>',
  description: 'Write the migrations that take the database to what the entities declare, policies included',
  argsDescription: { name: 'what the migrations are for: the beginning of their names' },
})
export class GenerateMigrationCommand extends MigrationDataSourceCommand {
  async run(
    [name = '']: string[],
    { dataSource, ...options }: GenerateMigrationCommandOptions = {},
  ): Promise<void> {
    process.exitCode = await generateMigration(() => this.load(dataSource), name, options, processOutput());
  }

  @Option({ flags: '--app-role <name>', description: 'login that serves requests, for policies and grants' })
  parseAppRole(name: string): string {
    return name;
  }

  @Option({
    flags: '--admin-role <name>',
    description: `role whose policies see all rows (default: "${DEFAULT_ADMIN_ROLE}")`,
  })
  parseAdminRole(name: string): string {
    return name;
  }

  @Option({ flags: '--dir <folder>', description: `where the files go (default: "${DEFAULT_DIR}")` })
  parseDir(folder: string): string {
    return folder;
  }

  @Option({ flags: '--dry-run', description: 'show the files and write none' })
  parseDryRun(): boolean {
    return true;
  }

  @Option({ flags: '--check', description: 'write nothing, and end with 1 if there is a difference' })
  parseCheck(): boolean {
    return true;
  }

  @Help('after')
  help(): string {
    return `
Compares the entities with the database that the data source connects to, and changes nothing there. Run the pending
migrations first. The files are split as lint-migrations wants them, and run in the order of their names. What TypeORM
would have done to the data, and what is done in its place, is said on stderr.

Examples:
  $ rls-tenants generate-migration AddNotes --data-source dist/migration-data-source.js --app-role app
  $ rls-tenants generate-migration AddNotes --data-source dist/migration-data-source.js --app-role app --dry-run
  $ rls-tenants generate-migration ci --data-source dist/migration-data-source.js --app-role app --check

Exit codes: 0 done or no difference, 1 --check found a difference, 2 refused or could not run.`;
  }
}

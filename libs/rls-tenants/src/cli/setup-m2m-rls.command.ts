import { Command, Help, Option } from 'nest-commander';
import { DEFAULT_ADMIN_ROLE } from '../policies/index.js';
import { processOutput } from './cli-output.js';
import { MigrationDataSourceCommand } from './migration-data-source.command.js';
import { setupM2mRls, type SetupM2mRlsOptions } from './setup-m2m-rls.js';

interface SetupM2mRlsCommandOptions extends SetupM2mRlsOptions {
  dataSource?: string;
}

/**
 * `rls-tenants setup-m2m-rls`: protects the join tables that the audit finds bare. Counterpart of django-rls-tenants'
 * `setup_m2m_rls`.
 */
@Command({
  name: 'setup-m2m-rls',
  description: 'Protect the join tables of tenant-scoped entities that nothing protects yet',
})
export class SetupM2mRlsCommand extends MigrationDataSourceCommand {
  async run(_arguments: string[], { dataSource, ...options }: SetupM2mRlsCommandOptions = {}): Promise<void> {
    process.exitCode = await setupM2mRls(() => this.load(dataSource), options, processOutput());
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

  @Option({ flags: '--dry-run', description: 'show what would be run, and change nothing' })
  parseDryRun(): boolean {
    return true;
  }

  @Option({
    flags: '--verbose',
    description: 'show the SQL that is run, and the live USING and WITH CHECK of all join tables afterwards',
  })
  parseVerbose(): boolean {
    return true;
  }

  @Help('after')
  help(): string {
    return `
A join table is bare if it has no policy and row-level security is off. It is protected as its entities declare: by a
tenant column of its own, which existing links get from the table they belong to, or through the tables that it joins
(joinTables: 'exists'). Each table is one transaction that waits two seconds for its locks. Tables that are protected are
left alone; those that are protected in part, or hold too many links for one transaction, are named and left alone too.

Once a join table is protected, its links show to a tenant only.

Examples:
  $ rls-tenants setup-m2m-rls --data-source dist/migration-data-source.js --app-role app --dry-run
  $ rls-tenants setup-m2m-rls --data-source dist/migration-data-source.js --app-role app
  $ rls-tenants setup-m2m-rls --data-source dist/migration-data-source.js --app-role app --verbose

Exit codes: 0 every join table is protected (or would be), 1 some are not, 2 could not run.`;
  }
}

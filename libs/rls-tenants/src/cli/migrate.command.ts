import { Command, Help, Option } from 'nest-commander';
import { RlsConfigurationError } from '../errors.js';
import { DEFAULT_ADMIN_ROLE } from '../policies/index.js';
import { processOutput } from './cli-output.js';
import { migrate, type MigrateAction, type MigrateOptions } from './migrate.js';
import { MigrationDataSourceCommand } from './migration-data-source.command.js';

interface MigrateCommandOptions extends MigrateOptions {
  dataSource?: string;
  revert?: boolean;
}

/**
 * `rls-tenants migrate run | revert | status | fake <name>…`: TypeORM's migrations, under a lock and with retries.
 * Counterpart of Django's `migrate`, `showmigrations` and `migrate --fake`.
 */
@Command({
  name: 'migrate',
  arguments: '<action> [names...]',
  description: 'Run, revert, list or fake migrations, one runner at a time',
  argsDescription: { action: 'run, revert, status or fake', names: 'migrations to fake' },
})
export class MigrateCommand extends MigrationDataSourceCommand {
  async run(
    [action, ...names]: string[],
    { dataSource, revert, ...options }: MigrateCommandOptions = {},
  ): Promise<void> {
    const what = actionOf(action, names, revert);
    process.exitCode = await migrate(() => this.load(dataSource), what, options, processOutput());
  }

  @Option({
    flags: '--app-role <name>',
    description: 'login that serves requests: never migrates, and is checked by check-rls after `run`',
  })
  parseAppRole(name: string): string {
    return name;
  }

  @Option({
    flags: '--admin-role <name>',
    description: `role whose policies see all rows, for check-rls (default: "${DEFAULT_ADMIN_ROLE}")`,
  })
  parseAdminRole(name: string): string {
    return name;
  }

  @Option({ flags: '--no-check', description: 'run: do not end with check-rls' })
  parseCheck(): boolean {
    return false;
  }

  @Option({
    flags: '--lock-wait <seconds>',
    description: 'how long to wait while another runner works (default: 600)',
  })
  parseLockWait(seconds: string): number {
    if (/^\d{1,6}$/.test(seconds)) return Number(seconds);
    throw new RlsConfigurationError(
      `--lock-wait is ${JSON.stringify(seconds)}.`,
      'It is a whole number of seconds; 0 does not wait.',
    );
  }

  @Option({
    flags: '--show-queries',
    description: 'show the statements of those in the way of a lock; they may hold data',
  })
  parseShowQueries(): boolean {
    return true;
  }

  @Option({ flags: '--revert', description: 'fake: forget applied migrations, without reverting them' })
  parseRevert(): boolean {
    return true;
  }

  @Option({ flags: '--format <format>', description: 'status: text (default) or json' })
  parseFormat(format: string): MigrateOptions['format'] {
    if (format === 'text' || format === 'json') return format;
    throw new RlsConfigurationError(`Unknown format ${JSON.stringify(format)}.`, 'It is text or json.');
  }

  @Help('after')
  help(): string {
    return `
  run     apply what is pending, each migration in its own transaction (none for transaction = false)
  revert  revert the migration that was applied last
  status  list the migrations; takes no lock
  fake    record single pending migrations as applied, without running them

One runner works at a time; the others wait. A migration that meets a lock gives up after lock_timeout, says who is in
the way, and is tried again. Connect directly or through a session pooler.

Examples:
  $ rls-tenants migrate run --data-source dist/migration-data-source.js --app-role app
  $ rls-tenants migrate run --data-source dist/migration-data-source.js --no-check --lock-wait 60
  $ rls-tenants migrate revert --data-source dist/migration-data-source.js
  $ rls-tenants migrate status --data-source dist/migration-data-source.js --format json
  $ rls-tenants migrate fake AddTitle1760000000000 --data-source dist/migration-data-source.js

Exit codes: 0 done, 1 a migration failed or check-rls has findings, 2 could not run.`;
  }
}

function actionOf(
  action: string | undefined,
  names: readonly string[],
  revert: boolean | undefined,
): MigrateAction {
  if (action === 'fake') {
    if (names.length > 0) return { action, names, revert };
    throw new RlsConfigurationError('fake names no migration.', 'Name one or more: migrate fake <name>…');
  }
  if (action !== 'run' && action !== 'revert' && action !== 'status') {
    throw new RlsConfigurationError(
      `Unknown action ${JSON.stringify(action)}.`,
      'It is run, revert, status or fake.',
    );
  }
  if (names.length === 0 && !revert) return { action };
  throw new RlsConfigurationError(
    `${action} takes no ${revert ? '--revert' : 'names of migrations'}.`,
    'Only fake does: migrate fake <name>… [--revert]',
  );
}

import { Command, CommandRunner, Help, Option } from 'nest-commander';
import { DataSource } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import { SESSION_SETTINGS } from '../lint/index.js';
import { processOutput } from './cli-output.js';
import { loadDataSource } from './data-source-file.js';
import { lintMigrationFiles, type LintMigrationsOptions } from './lint-migrations.js';
import { LINT_FORMATS, type LintFormat } from './lint-migrations.report.js';

interface LintMigrationsCommandOptions extends Omit<
  LintMigrationsOptions,
  'partitionedTables' | 'rules' | 'load'
> {
  partitioned?: string[];
  rule?: string[];
  dataSource?: string;
  url?: string;
}

/**
 * `rls-tenants lint-migrations`: reads migrations for what locks, fails or leaks. Exit code 0, 1 with findings of
 * severity error, 2 if it could not lint.
 */
@Command({
  name: 'lint-migrations',
  arguments: '[files...]',
  description: 'Read migrations for what locks, fails or leaks',
})
export class LintMigrationsCommand extends CommandRunner {
  async run(
    paths: string[],
    { partitioned, rule, dataSource, url, ...options }: LintMigrationsCommandOptions = {},
  ): Promise<void> {
    const load = loaderOf(dataSource, url);
    const told = { ...options, partitionedTables: partitioned, rules: rule, load };
    process.exitCode = await lintMigrationFiles(paths, told, processOutput());
  }

  @Option({ flags: '--since <ref>', description: 'lint only files that changed since a git ref' })
  parseSince(ref: string): string {
    return ref;
  }

  @Option({
    flags: '--format <format>',
    description: 'how to write the report',
    choices: [...LINT_FORMATS],
    defaultValue: 'text',
  })
  parseFormat(format: string): LintFormat {
    // nest-commander's parsers replace the check that commander makes of choices.
    const known = LINT_FORMATS.find((one) => one === format);
    if (known !== undefined) return known;
    throw new RlsConfigurationError(
      `Unknown format ${JSON.stringify(format)}.`,
      `It is one of ${LINT_FORMATS.join(', ')}.`,
    );
  }

  @Option({ flags: '--output <file>', description: 'write the report to a file' })
  parseOutput(file: string): string {
    return file;
  }

  @Option({
    flags: '--data-source <file>',
    description:
      'module that exports a DataSource: its entities and its database are read, and nothing is written',
  })
  parseDataSource(file: string): string {
    return file;
  }

  @Option({ flags: '--url <url>', description: 'a database to read in place of a --data-source' })
  parseUrl(url: string): string {
    return url;
  }

  @Option({ flags: '--tenant-column <name>', description: 'the tenant column (default: "tenant_id")' })
  parseTenantColumn(name: string): string {
    return name;
  }

  @Option({
    flags: '--tenant-setting <name>',
    description: 'the tenant setting (default: "rls.current_tenant")',
  })
  parseTenantSetting(name: string): string {
    return name;
  }

  @Option({
    flags: '--partitioned <tables>',
    description: 'partitioned tables that the files do not show, separated by commas',
  })
  parsePartitioned(tables: string): string[] {
    return tables.split(',').map((table) => table.trim());
  }

  @Option({
    flags: '--tenant-tables <tables>',
    description: 'tables with a tenant column that the files do not show, separated by commas',
  })
  parseTenantTables(tables: string): string[] {
    return tables.split(',').map((table) => table.trim());
  }

  @Option({
    flags: '--transaction-mode <mode>',
    description:
      "migrationsTransactionMode of the data source that runs the migrations: 'all', 'each' or 'none'",
  })
  parseTransactionMode(mode: string): LintMigrationsOptions['transactionMode'] {
    if (mode === 'all' || mode === 'each' || mode === 'none') return mode;
    throw new RlsConfigurationError(
      `Unknown transaction mode ${JSON.stringify(mode)}.`,
      'It is all, each or none.',
    );
  }

  @Option({
    flags: '--session-settings <names>',
    description:
      "which of lock_timeout, statement_timeout and row_security the data source that runs the migrations sets, separated by commas, or 'none' (default: all, as the library's do)",
  })
  parseSessionSettings(names: string): LintMigrationsOptions['sessionSettings'] {
    if (names === 'none') return [];
    return names.split(',').map((name) => {
      const known = SESSION_SETTINGS.find((one) => one === name.trim());
      if (known !== undefined) return known;
      throw new RlsConfigurationError(
        `Unknown session setting ${JSON.stringify(name.trim())}.`,
        `They are ${SESSION_SETTINGS.join(', ')}; or none.`,
      );
    });
  }

  @Option({
    flags: '--rule <ids>',
    description: 'rules to run that run on demand only, separated by commas: MIG090',
  })
  parseRule(ids: string): string[] {
    return ids.split(',').map((id) => id.trim());
  }

  @Option({ flags: '--no-squawk', description: "leave out squawk's rules" })
  parseSquawk(): boolean {
    return false;
  }

  @Help('after')
  help(): string {
    return `
It runs nothing; it connects only to read, and only with --data-source or --url. Of each finding it says which lock is taken, and writes the correction. Each
rule has a page: docs/lint/MIGnnn.md. A finding that is meant stays, with its reason, in a comment above the statement:
  // rls-lint-ignore MIG040: unused since version 12

Examples:
  $ rls-tenants lint-migrations src/migrations
  $ rls-tenants lint-migrations src/migrations --since origin/main --format github
  $ rls-tenants lint-migrations src/migrations --data-source dist/data-source.js
  $ rls-tenants lint-migrations src/migrations --partitioned findings,audit.event
  $ rls-tenants lint-migrations src/migrations --format sarif --output lint.sarif

Exit codes: 0 clean, 1 findings of severity error, 2 could not lint.`;
  }
}

function loaderOf(file: string | undefined, url: string | undefined): LintMigrationsOptions['load'] {
  if (file !== undefined && url !== undefined) {
    return () =>
      Promise.reject(
        new RlsConfigurationError('--data-source and --url are both given.', 'Name one database to read.'),
      );
  }
  if (file !== undefined) return () => loadDataSource(file);
  if (url !== undefined) return () => Promise.resolve(new DataSource({ type: 'postgres', url }));
  return undefined;
}

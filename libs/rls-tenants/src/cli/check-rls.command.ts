import { Inject, Optional } from '@nestjs/common';
import { Command, CommandRunner, Help, Option } from 'nest-commander';
import { DataSource } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import { DEFAULT_ADMIN_ROLE } from '../policies/index.js';
import { checkRls, type CheckRlsOptions } from './check-rls.js';
import { processOutput } from './cli-output.js';
import { loadDataSource } from './data-source-file.js';

/** Injection token: gives the data source where `--data-source` is not given. For an application's own commands. */
export const DEFAULT_DATA_SOURCE = Symbol('nestjs-rls-tenants: default data source');

/** Gives a data source, initialized or not. */
export type DataSourceLoader = () => Promise<DataSource>;

interface CheckRlsCommandOptions extends CheckRlsOptions {
  dataSource?: string;
}

/**
 * `rls-tenants check-rls`: audits a live database for holes in tenant isolation. Exit code 0, 1 with findings of
 * severity error or above, 2 if it could not check. Counterpart of django-rls-tenants' `check_rls`.
 */
@Command({ name: 'check-rls', description: 'Audit a live database for holes in tenant isolation' })
export class CheckRlsCommand extends CommandRunner {
  constructor(
    @Optional() @Inject(DEFAULT_DATA_SOURCE) private readonly defaultDataSource?: DataSourceLoader,
  ) {
    super();
  }

  async run(_arguments: string[], { dataSource, ...options }: CheckRlsCommandOptions = {}): Promise<void> {
    process.exitCode = await checkRls(() => this.load(dataSource, options.url), options, processOutput());
  }

  private async load(file: string | undefined, url: string | undefined): Promise<DataSource> {
    if (file !== undefined && url !== undefined) {
      throw new RlsConfigurationError(
        'Both --data-source and --url are given.',
        'Pass --data-source, which knows the entities; --url is for where they are not at hand.',
      );
    }
    if (url !== undefined) return new DataSource({ type: 'postgres', url });
    if (file !== undefined) return loadDataSource(file);
    if (this.defaultDataSource) return this.defaultDataSource();
    throw new RlsConfigurationError(
      'No --data-source is given.',
      'Name a module that exports a TypeORM DataSource: --data-source dist/data-source.js, or a database: --url postgres://…',
    );
  }

  @Option({
    flags: '--data-source <file>',
    description: 'JavaScript module that exports a TypeORM DataSource',
  })
  parseDataSource(file: string): string {
    return file;
  }

  @Option({
    flags: '--url <connection string>',
    description: 'database to audit without entities: tenant tables are recognised by column or policy',
  })
  parseUrl(url: string): string {
    return url;
  }

  @Option({ flags: '--schemas <names>', description: 'schemas to audit, separated by commas (default: all)' })
  parseSchemas(names: string): string[] {
    return names.split(',').map((name) => name.trim());
  }

  @Option({ flags: '--role <name>', description: "login role to audit instead of the connection's own" })
  parseRole(name: string): string {
    return name;
  }

  @Option({
    flags: '--admin-role <name>',
    description: `role whose policies see all rows (default: "${DEFAULT_ADMIN_ROLE}")`,
  })
  parseAdminRole(name: string): string {
    return name;
  }

  @Option({
    flags: '--verbose',
    description: "print each policy's live USING and WITH CHECK, its command and roles",
  })
  parseVerbose(): boolean {
    return true;
  }

  @Option({ flags: '--quiet', description: 'print nothing unless something is found' })
  parseQuiet(): boolean {
    return true;
  }

  @Option({
    flags: '--format <format>',
    description: 'how to print the report',
    choices: ['text', 'json'],
    defaultValue: 'text',
  })
  parseFormat(format: string): CheckRlsOptions['format'] {
    // nest-commander's parsers replace the check that commander makes of choices.
    if (format === 'text' || format === 'json') return format;
    throw new RlsConfigurationError(`Unknown format ${JSON.stringify(format)}.`, 'It is text or json.');
  }

  @Help('after')
  help(): string {
    return `
It reads the catalog only, in one read-only transaction, and needs no more rights than the app role has. Connect as the
app role: that is the role whose isolation is in question. Each finding names its rule (docs/rules/RLSnnn.md) and what
to run.

Examples:
  $ rls-tenants check-rls --data-source dist/data-source.js
  $ rls-tenants check-rls --data-source dist/data-source.js --verbose
  $ rls-tenants check-rls --url postgres://app@localhost/shop --schemas public,billing
  $ rls-tenants check-rls --data-source dist/data-source.js --role app --admin-role rls_admin
  $ rls-tenants check-rls --data-source dist/data-source.js --format json > rls-report.json

Exit codes: 0 clean, 1 findings of severity error or above, 2 could not check.`;
  }
}

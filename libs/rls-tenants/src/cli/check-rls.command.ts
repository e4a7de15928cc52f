import { Inject, Optional } from '@nestjs/common';
import { Command, CommandRunner, Help, Option } from 'nest-commander';
import { DataSource } from 'typeorm';
import { SEVERITIES, type ProbeMode, type Severity } from '../audit/index.js';
import { RlsConfigurationError } from '../errors.js';
import { DEFAULT_ADMIN_ROLE } from '../policies/index.js';
import { DEFAULT_CONFIGURATION_FILE } from './check-rls.decisions.js';
import { explainRule } from './check-rls.explain.js';
import { REPORT_FORMATS, type ReportFormat } from './check-rls.formats.js';
import { checkRls, type CheckRlsOptions } from './check-rls.js';
import { processOutput } from './cli-output.js';
import { loadDataSource } from './data-source-file.js';
import { DEFAULT_DIR } from './generate-migration.js';

/** Injection token: gives the data source where `--data-source` is not given. For an application's own commands. */
export const DEFAULT_DATA_SOURCE = Symbol('nestjs-rls-tenants: default data source');

/** Gives a data source, initialized or not. */
export type DataSourceLoader = () => Promise<DataSource>;

interface CheckRlsCommandOptions extends Omit<CheckRlsOptions, 'rules' | 'excludeRules' | 'fix' | 'probe'> {
  rule?: string[];
  excludeRule?: string[];
  explain?: string;
  /** True where no directory is named. */
  fix?: string | true;
  /** True where no mode is named. */
  probe?: ProbeMode | true;
}

/**
 * `rls-tenants check-rls`: audits a live database for holes in tenant isolation. Exit code 0, 1 with findings that fail the
 * audit, 2 if it could not check. Counterpart of django-rls-tenants' `check_rls`.
 */
@Command({ name: 'check-rls', description: 'Audit a live database for holes in tenant isolation' })
export class CheckRlsCommand extends CommandRunner {
  constructor(
    @Optional() @Inject(DEFAULT_DATA_SOURCE) private readonly defaultDataSource?: DataSourceLoader,
  ) {
    super();
  }

  async run(
    _arguments: string[],
    { rule, excludeRule, explain, fix, probe, ...options }: CheckRlsCommandOptions = {},
  ): Promise<void> {
    const output = processOutput();
    if (explain !== undefined) {
      output.out(await explainRule(explain, output));
      return;
    }
    const load = () => this.load(options.dataSource, options.url);
    const told = {
      ...options,
      rules: rule,
      excludeRules: excludeRule,
      fix: fix === true ? DEFAULT_DIR : fix,
      probe: probe === true ? 'read' : probe,
    };
    process.exitCode = await checkRls(load, told, output);
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
    return list(names);
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

  @Option({ flags: '--tenant-column <name>', description: 'the tenant column (default: "tenant_id")' })
  parseTenantColumn(name: string): string {
    return name;
  }

  @Option({
    flags: '--tenant-setting <name>',
    description: 'the tenant setting, where no entity says it (default: "rls.current_tenant")',
  })
  parseTenantSetting(name: string): string {
    return name;
  }

  @Option({
    flags: '--tenant-tables <names>',
    description: 'tenant tables that nothing gives away, separated by commas',
  })
  parseTenantTables(names: string): string[] {
    return list(names);
  }

  @Option({
    flags: '--rule <ids>',
    description: 'rules to run, separated by commas or repeated (default: all)',
  })
  parseRule(ids: string, before: string[] = []): string[] {
    return [...before, ...list(ids)];
  }

  @Option({ flags: '--exclude-rule <ids>', description: 'rules not to run, separated by commas or repeated' })
  parseExcludeRule(ids: string, before: string[] = []): string[] {
    return [...before, ...list(ids)];
  }

  @Option({
    flags: '--min-severity <severity>',
    description: 'the least severity to show: critical, error, warning or info (default: "info")',
  })
  parseMinSeverity(severity: string): Severity {
    return oneOf('severity', severity, SEVERITIES);
  }

  @Option({
    flags: '--fail-on <severity>',
    description: 'the least severity that ends with exit code 1 (default: "error")',
  })
  parseFailOn(severity: string): Severity {
    return oneOf('severity', severity, SEVERITIES);
  }

  @Option({
    flags: '--config <file>',
    description: `severities and the allow list (default: "${DEFAULT_CONFIGURATION_FILE}", if it exists)`,
  })
  parseConfig(file: string): string {
    return file;
  }

  @Option({ flags: '--baseline <file>', description: 'findings that were there before, which do not count' })
  parseBaseline(file: string): string {
    return file;
  }

  @Option({ flags: '--update-baseline', description: 'write what is found into the --baseline file' })
  parseUpdateBaseline(): boolean {
    return true;
  }

  @Option({
    flags: '--fix [directory]',
    description: `write migrations for what is mechanically fixable, and apply none (default: "${DEFAULT_DIR}")`,
  })
  parseFix(directory: string): string {
    return directory;
  }

  @Option({
    flags: '--probe [mode]',
    description:
      'try it as the audited role, in transactions that are rolled back: read or write (default: "read")',
  })
  parseProbe(mode: string): ProbeMode {
    return oneOf('probe mode', mode, ['read', 'write'] as const);
  }

  @Option({
    flags: '--probe-tenants <ids>',
    description: 'two tenants that have rows, separated by a comma (default: found in the database)',
  })
  parseProbeTenants(ids: string): string[] {
    return list(ids);
  }

  @Option({ flags: '--explain <id>', description: "print a rule's page; needs no database" })
  parseExplain(id: string): string {
    return id;
  }

  @Option({
    flags: '--verbose',
    description: "print each policy's live USING and WITH CHECK, its command and roles, and what is accepted",
  })
  parseVerbose(): boolean {
    return true;
  }

  @Option({ flags: '--quiet', description: 'print nothing unless the audit fails' })
  parseQuiet(): boolean {
    return true;
  }

  @Option({
    flags: '--format <format>',
    description: 'how to write the report',
    choices: Object.keys(REPORT_FORMATS),
    defaultValue: 'text',
  })
  parseFormat(format: string): ReportFormat {
    // nest-commander's parsers replace the check that commander makes of choices.
    return oneOf('format', format, Object.keys(REPORT_FORMATS) as ReportFormat[]);
  }

  @Option({ flags: '--output <file>', description: 'write the report to a file' })
  parseOutput(file: string): string {
    return file;
  }

  @Help('after')
  help(): string {
    return `
Without --probe it reads the catalog only, in one read-only transaction, and needs no more rights than the app role has.
Connect as the app role: that is the role whose isolation is in question. Each finding names its rule and what to run. A
rule that could not run is listed as skipped, in every format.
Where policies ask for a tenant seal, --probe makes seals with the keys of the application's environment, RLS_SEAL_KEYS.

Examples:
  $ rls-tenants check-rls --data-source dist/data-source.js
  $ rls-tenants check-rls --data-source dist/data-source.js --verbose
  $ rls-tenants check-rls --url postgres://app@localhost/shop --schemas public,billing
  $ rls-tenants check-rls --data-source dist/data-source.js --role app --admin-role rls_admin
  $ rls-tenants check-rls --data-source dist/data-source.js --format sarif --output rls.sarif
  $ rls-tenants check-rls --data-source dist/data-source.js --baseline rls-baseline.json --update-baseline
  $ rls-tenants check-rls --data-source dist/data-source.js --rule RLS040,RLS041 --fail-on warning
  $ rls-tenants check-rls --data-source dist/data-source.js --fix src/migrations
  $ rls-tenants check-rls --data-source dist/data-source.js --probe
  $ rls-tenants check-rls --explain RLS004

Exit codes: 0 clean, 1 findings of severity error or above (see --fail-on), 2 could not check, or nothing was checked.`;
  }
}

function list(names: string): string[] {
  return names.split(',').map((name) => name.trim());
}

function oneOf<Value extends string>(what: string, text: string, values: readonly Value[]): Value {
  const known = values.find((value) => value === text);
  if (known !== undefined) return known;
  throw new RlsConfigurationError(
    `Unknown ${what} ${JSON.stringify(text)}.`,
    `It is one of ${values.join(', ')}.`,
  );
}

import type { DataSource } from 'typeorm';
import { auditDataSource, fails } from '../audit/index.js';
import { MigrationFailedError, RlsConfigurationError } from '../errors.js';
import { checkMigratable } from '../migrations/migration-data-source.js';
import { connectionError } from '../migrations/runner/migration-lock.js';
import { MigrationRunner } from '../migrations/runner/migration-runner.js';
import { decide, readDecisions, withConfiguredRules } from './check-rls.decisions.js';
import { findingsText, verifiedText } from './check-rls.report.js';
import { explain, type CliOutput } from './cli-output.js';
import { ExitCode } from './exit-code.js';
import { eventText, statusJson, statusText } from './migrate.report.js';

/** What `migrate` does, with its arguments. */
export type MigrateAction =
  | { readonly action: 'run' | 'revert' | 'status' }
  | { readonly action: 'fake'; readonly names: readonly string[]; readonly revert?: boolean | undefined };

/** How `migrate` does it. */
export interface MigrateOptions {
  /** The login that serves requests: never the one that migrates, and the one that `check-rls` audits after `run`. */
  appRole?: string | undefined;
  /** The role whose policies see all rows, for `check-rls`. */
  adminRole?: string | undefined;
  /** Whether `run` ends with `check-rls`, which needs `appRole`. Default `true`. */
  check?: boolean | undefined;
  /** In seconds. Default 600. */
  lockWait?: number | undefined;
  /** Shows the statements of those in the way. */
  showQueries?: boolean | undefined;
  /** Of `status`. */
  format?: 'text' | 'json' | undefined;
}

/**
 * Runs, reverts, lists or fakes migrations, and reports. What was done goes to stdout, progress and errors to stderr.
 *
 * @param load gives the migration role's data source; it is initialized here if it is not yet, and destroyed in any case.
 * @returns the exit code: 1 if a migration failed or `check-rls` found something, 2 if it could not run. It never throws.
 */
export async function migrate(
  load: () => Promise<DataSource>,
  action: MigrateAction,
  options: MigrateOptions,
  output: CliOutput,
): Promise<ExitCode> {
  try {
    return await withDataSource(await load(), (dataSource) => perform(dataSource, action, options, output));
  } catch (error) {
    output.err(`migrate ${action.action}: ${explain(error)}\n`);
    return error instanceof MigrationFailedError ? ExitCode.Findings : ExitCode.CouldNotRun;
  }
}

async function perform(
  dataSource: DataSource,
  action: MigrateAction,
  options: MigrateOptions,
  output: CliOutput,
): Promise<ExitCode> {
  const { appRole, lockWait, showQueries } = options;
  const runner = new MigrationRunner(dataSource, {
    appRole,
    showQueries,
    lockWaitMs: lockWait === undefined ? undefined : lockWait * 1_000,
    onEvent: (event) => output.err(eventText(event, output)),
  });
  switch (action.action) {
    case 'run': {
      checkRoleIsNamed(options);
      const names = await runner.run();
      output.out(names.length === 0 ? 'Nothing to migrate.\n' : `Applied ${count(names)}.\n`);
      return options.check === false ? ExitCode.Ok : check(dataSource, options, output);
    }
    case 'revert': {
      const name = await runner.revert();
      output.out(name === undefined ? 'Nothing to revert.\n' : `Reverted ${name}.\n`);
      return ExitCode.Ok;
    }
    case 'fake': {
      const { names, revert } = action;
      const recorded = await (revert ? runner.fakeRevert(names) : runner.fake(names));
      const how = revert ? 'not applied, without reverting' : 'applied, without running';
      output.out(`Recorded as ${how}: ${recorded.join(', ')}.\n`);
      return ExitCode.Ok;
    }
    case 'status': {
      const status = await runner.status();
      output.out(options.format === 'json' ? statusJson(status) : statusText(status, output));
      return ExitCode.Ok;
    }
  }
}

/** Before anything happens, so that nobody takes what was not checked for checked. */
function checkRoleIsNamed({ check, appRole }: MigrateOptions): void {
  if (check === false || appRole !== undefined) return;
  throw new RlsConfigurationError(
    'No --app-role is given, and check-rls has to know whose isolation to check after the migrations.',
    'Name the login that serves requests: --app-role app. Or do without the check: --no-check.',
  );
}

/** What `check-rls` says of the app role. What was migrated stays, whatever it says. */
async function check(
  dataSource: DataSource,
  { appRole, adminRole }: MigrateOptions,
  output: CliOutput,
): Promise<ExitCode> {
  try {
    // As `check-rls` does: what the project accepts there does not fail here.
    const decisions = await readDecisions({});
    const audit = withConfiguredRules({ role: appRole, adminRole }, decisions);
    const report = await decide(await auditDataSource(dataSource, audit), decisions);
    const failed = report.findings.some((finding) => fails(finding, report));
    output.err(findingsText(report, output));
    if (!failed) output.out(verifiedText(report, output));
    return failed ? ExitCode.Findings : ExitCode.Ok;
  } catch (error) {
    output.err(`The migrations are applied, and check-rls could not check: ${explain(error)}\n`);
    return ExitCode.CouldNotRun;
  }
}

/** Nothing that changes the schema happens by connecting: such a data source is refused before. */
async function withDataSource<Result>(
  dataSource: DataSource,
  work: (dataSource: DataSource) => Promise<Result>,
): Promise<Result> {
  checkMigratable(dataSource.options);
  if (!dataSource.isInitialized) await connect(dataSource);
  try {
    return await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}

async function connect(dataSource: DataSource): Promise<void> {
  try {
    await dataSource.initialize();
  } catch (error) {
    throw connectionError(error);
  }
}

function count(names: readonly string[]): string {
  return `${names.length} migration${names.length === 1 ? '' : 's'}`;
}

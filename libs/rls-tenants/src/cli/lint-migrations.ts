import { writeFile } from 'node:fs/promises';
import type { DataSource } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import { lintMigrations, type LintOptions } from '../lint/index.js';
import { explain, type CliOutput } from './cli-output.js';
import { initializeUntouched } from './data-source-file.js';
import { ExitCode } from './exit-code.js';
import { readLintInputs } from './lint-migrations.files.js';
import { hasErrors, lintReportText, type LintFormat } from './lint-migrations.report.js';

/** What `lint-migrations` is told. */
export interface LintMigrationsOptions extends LintOptions {
  /** A git ref: only what changed since is linted. */
  since?: string | undefined;
  format?: LintFormat | undefined;
  /** A file for the report, in place of stdout. */
  output?: string | undefined;
  /** Whether squawk's rules run too. Default true. */
  squawk?: boolean | undefined;
  /** Opt-in rules to run as well. */
  rules?: readonly string[] | undefined;
  /** Gives the data source of a database that the migrations are for; it is destroyed in any case. */
  load?: (() => Promise<DataSource>) | undefined;
}

/**
 * Lints migrations and reports. Nothing is run; without `load` nothing connects, with it the database is read.
 *
 * @returns the exit code; it never throws.
 */
export async function lintMigrationFiles(
  paths: readonly string[],
  options: LintMigrationsOptions,
  output: CliOutput,
): Promise<ExitCode> {
  try {
    const { since, format = 'text', output: file, load, ...lintOptions } = options;
    const inputs = await readLintInputs(paths, since);
    const report = await withDataSource(load, (dataSource) =>
      lintMigrations(inputs, { ...lintOptions, dataSource }),
    );
    if (report.coverage.migrations === 0 && since === undefined) {
      throw new RlsConfigurationError(
        `There is no migration in ${paths.join(', ')}.`,
        'Name files that hold classes with an up() and a down(), or with the operations of an RlsMigration.',
      );
    }
    const text = lintReportText(report, format, file === undefined ? output : { colors: false });
    if (file === undefined) output.out(text);
    else await writeFile(file, text);
    return hasErrors(report) ? ExitCode.Findings : ExitCode.Ok;
  } catch (error) {
    output.err(`lint-migrations could not lint: ${explain(error)}\n`);
    return ExitCode.CouldNotRun;
  }
}

async function withDataSource<T>(
  load: LintMigrationsOptions['load'],
  work: (dataSource?: DataSource) => Promise<T>,
): Promise<T> {
  if (!load) return work();
  const dataSource = await load();
  if (!dataSource.isInitialized) await initializeUntouched(dataSource);
  try {
    return await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}

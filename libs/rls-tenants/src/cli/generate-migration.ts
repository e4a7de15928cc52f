import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataSource } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import { generateMigrations, type GeneratedMigrations } from '../generate/index.js';
import { checkMigratable } from '../migrations/migration-data-source.js';
import { explain, type CliOutput } from './cli-output.js';
import { ExitCode } from './exit-code.js';
import { contentsText, filesText, notesText } from './generate-migration.report.js';

/** What `generate-migration` is told. */
export interface GenerateMigrationOptions {
  /** The login that serves requests: policies and grants are for it. */
  appRole?: string | undefined;
  /** The role whose policies see all rows. */
  adminRole?: string | undefined;
  /** Where the files go. Default `src/migrations`. */
  dir?: string | undefined;
  /** Shows the files and writes none. */
  dryRun?: boolean | undefined;
  /** Writes nothing, and fails if there is a difference. */
  check?: boolean | undefined;
}

/** Where migrations usually are. */
export const DEFAULT_DIR = 'src/migrations';

/** A name that a file and a class can have. */
const NAME = /^[A-Za-z][A-Za-z0-9_-]*$/;

/**
 * Writes the migrations that take the database to what the entities declare, and reports. What is written goes to stdout,
 * notes and errors to stderr.
 *
 * @param load gives the migration role's data source; it is initialized here if it is not yet, and destroyed in any case.
 * @returns the exit code: 1 if `check` finds a difference, 2 if it refuses or could not. It never throws.
 */
export async function generateMigration(
  load: () => Promise<DataSource>,
  name: string,
  options: GenerateMigrationOptions,
  output: CliOutput,
): Promise<ExitCode> {
  try {
    const { appRole, adminRole } = options;
    checkArguments(name, options);
    const generated = await withDataSource(await load(), (dataSource) =>
      generateMigrations(dataSource, { name, appRole: appRole!, adminRole }),
    );
    return await report(generated, options, output);
  } catch (error) {
    output.err(`generate-migration could not generate: ${explain(error)}\n`);
    return ExitCode.CouldNotRun;
  }
}

function checkArguments(name: string, { appRole, check, dryRun }: GenerateMigrationOptions): void {
  if (!NAME.test(name)) {
    throw new RlsConfigurationError(
      `The name ${JSON.stringify(name)} cannot begin the name of a class.`,
      'Say in a word or two what the migrations are for: AddNotes, or add-notes.',
    );
  }
  if (appRole === undefined) {
    throw new RlsConfigurationError(
      'No --app-role is given, and protected tables are granted to the login that serves requests.',
      'Name it: --app-role app.',
    );
  }
  if (check && dryRun) {
    throw new RlsConfigurationError(
      'Both --check and --dry-run are given.',
      '--check fails on a difference, --dry-run shows the files: give one of them.',
    );
  }
}

async function report(
  { files, notes }: GeneratedMigrations,
  { dir = DEFAULT_DIR, dryRun, check }: GenerateMigrationOptions,
  output: CliOutput,
): Promise<ExitCode> {
  output.err(notesText(notes, output));
  if (files.length === 0) {
    output.out('There is no difference between the entities and the database.\n');
    return ExitCode.Ok;
  }
  if (check) {
    output.out(`The entities and the database differ:\n${filesText(files, dir)}`);
    return ExitCode.Findings;
  }
  if (dryRun) {
    output.out(contentsText(files, dir));
    return ExitCode.Ok;
  }
  await mkdir(dir, { recursive: true });
  // Nothing that is there is overwritten.
  for (const file of files) await writeFile(join(dir, file.name), file.text, { flag: 'wx' });
  output.out(`Wrote ${files.length} file${files.length === 1 ? '' : 's'}:\n${filesText(files, dir)}`);
  return ExitCode.Ok;
}

/** Nothing that changes the schema happens by connecting, and TypeORM's log is no part of the report. */
async function withDataSource<Result>(
  dataSource: DataSource,
  work: (dataSource: DataSource) => Promise<Result>,
): Promise<Result> {
  checkMigratable(dataSource.options);
  if (!dataSource.isInitialized) {
    await dataSource
      .setOptions({ installExtensions: false, logger: 'advanced-console', logging: [] })
      .initialize();
  }
  try {
    return await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}

import { access, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { DataSource } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import {
  databaseKnowledge,
  splitMigrationFile,
  type DatabaseKnowledge,
  type SplitFile,
} from '../generate/index.js';
import { explain, type CliOutput } from './cli-output.js';
import { initializeUntouched } from './data-source-file.js';
import { ExitCode } from './exit-code.js';
import { splitPlanText } from './split-migration.report.js';

/** What `split-migration` is told. */
export interface SplitMigrationOptions {
  /** Where the files go. Default: beside the file that is split. */
  out?: string | undefined;
  /** Writes the files and deletes the one that is split; default is to say what would be written. */
  write?: boolean | undefined;
  /** With `write`: does not delete it. */
  keep?: boolean | undefined;
  /** Partitioned tables that neither the file nor a database shows. */
  partitioned?: readonly string[] | undefined;
  /** Gives the data source of a database that the migration is for; it is destroyed in any case. */
  load?: (() => Promise<DataSource>) | undefined;
}

/**
 * Splits a migration file, and reports. The plan goes to stdout, errors to stderr. Nothing is run; without `load` nothing
 * connects, with it the database is read.
 *
 * @returns the exit code: 1 if the file has to be split and `write` is not given, 2 if it is refused or could not be read
 * or written. It never throws.
 */
export async function splitMigration(
  file: string,
  options: SplitMigrationOptions,
  output: CliOutput,
): Promise<ExitCode> {
  try {
    const text = await readMigration(file);
    const known = await knowledge(options.load);
    const { partitioned = [] } = options;
    const split = await splitMigrationFile(file, text, {
      ...known,
      isPartitioned: (table) => partitioned.includes(table) || (known?.isPartitioned?.(table) ?? false),
    });
    if (split.unchanged) {
      output.out(`${file} is as it should be: one table, one concern.\n`);
      return ExitCode.Ok;
    }
    output.out(splitPlanText(split, output));
    if (!options.write) {
      output.out(`\n${split.files.length} file(s). Nothing is written: --write does it.\n`);
      return ExitCode.Findings;
    }
    await write(file, split, known, options);
    output.out(`\nWrote ${split.files.length} file(s)${options.keep ? '' : `, deleted ${file}`}.\n`);
    return ExitCode.Ok;
  } catch (error) {
    output.err(`split-migration could not split: ${explain(error)}\n`);
    return ExitCode.CouldNotRun;
  }
}

async function readMigration(file: string): Promise<string> {
  if (!/(?<!\.d)\.[cm]?ts$/.test(file)) {
    throw new RlsConfigurationError(
      `${file} is no TypeScript, and the files that it would be split into are.`,
      'Name the source of the migration, not what it was compiled to.',
    );
  }
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new RlsConfigurationError(`${file} cannot be read.`, 'Name a migration file that exists.', {
      cause,
    });
  }
}

async function knowledge(load: SplitMigrationOptions['load']): Promise<DatabaseKnowledge | undefined> {
  if (!load) return undefined;
  const dataSource = await load();
  if (!dataSource.isInitialized) await initializeUntouched(dataSource);
  try {
    return await databaseKnowledge(dataSource);
  } finally {
    await dataSource.destroy();
  }
}

/** All files or, where one exists, none. The file that is split goes last. */
async function write(
  file: string,
  { className, files }: SplitFile,
  known: DatabaseKnowledge | undefined,
  { out = dirname(file), keep = false }: SplitMigrationOptions,
): Promise<void> {
  if (known?.applied.has(className)) {
    throw new RlsConfigurationError(
      `Migration "${className}" is applied already: its parts would run a second time.`,
      'Leave it as it is. Split migrations before they run.',
    );
  }
  const targets = files.map(({ name, text }) => ({ path: join(out, basename(name)), text }));
  for (const { path } of targets) {
    if (resolve(path) !== resolve(file) && (await exists(path))) {
      throw new RlsConfigurationError(
        `${path} exists.`,
        'Move it away, or name another directory with --out.',
      );
    }
  }
  await mkdir(out, { recursive: true });
  await checkNothingBetween(file, out, files);
  const replaces = targets.some(({ path }) => resolve(path) === resolve(file));
  if (replaces && keep) {
    throw new RlsConfigurationError(
      `One of the new files is to have the name of ${file}, which is to be kept.`,
      'Name another directory with --out, or leave --keep out.',
    );
  }
  for (const { path, text } of targets) {
    await writeFile(path, text, { flag: resolve(path) === resolve(file) ? 'w' : 'wx' });
  }
  if (!keep && !replaces) await rm(file);
}

/** The files run one after the other: no other migration may come in between. */
async function checkNothingBetween(file: string, out: string, files: SplitFile['files']): Promise<void> {
  const timestamp = (name: string) => Number(/^\d{13}/.exec(name)?.[0]);
  const [first, last] = [timestamp(files[0]!.name), timestamp(files.at(-1)!.name)];
  const between = (await readdir(out)).find(
    (name) => timestamp(name) >= first && timestamp(name) <= last && name !== basename(file),
  );
  if (between === undefined) return;
  throw new RlsConfigurationError(
    `${between} would run between the files, whose timestamps go from ${first} to ${last}.`,
    'Give it, or the migration that is split, another timestamp, in the name of the file and of the class.',
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

import { execFile } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import { RlsConfigurationError } from '../errors.js';
import type { LintInput } from '../lint/index.js';

const execute = promisify(execFile);

/** Declaration files and tests are no migrations. */
const MIGRATION_FILE = /(?<!\.d|\.spec|\.test)\.[cm]?[jt]s$/;

/**
 * Reads the files to lint. Where files are named one by one, or picked by `--since`, their neighbours are read as well,
 * for what they say of tables, and not linted.
 *
 * @param paths files and directories, from the working directory; with `since`, all changed files if there are none.
 * @param since a git ref: only files that differ from it, or are not in git, are linted.
 * @throws RlsConfigurationError if there is nothing to lint.
 */
export async function readLintInputs(paths: readonly string[], since?: string): Promise<LintInput[]> {
  const changed = since === undefined ? undefined : await changedSince(since);
  if (paths.length === 0 && changed === undefined) {
    throw new RlsConfigurationError(
      'No files are named.',
      'Name files or directories: lint-migrations src/migrations; or --since <git ref> for what changed.',
    );
  }
  const named = paths.length > 0 ? (await Promise.all(paths.map(filesOf))).flat() : [...changed!];
  const linted = new Set(named.filter((file) => changed?.has(file) ?? true));
  if (linted.size === 0 && changed === undefined) {
    throw new RlsConfigurationError(
      `There are no migration files in ${paths.join(', ')}.`,
      'Name files or directories that hold TypeScript or JavaScript migrations.',
    );
  }
  const neighbours = await Promise.all([...new Set([...linted].map((file) => dirname(file)))].map(filesOf));
  const all = [...new Set([...linted, ...neighbours.flat()])].sort();
  return Promise.all(
    all.map(async (file) => ({
      file: relative(process.cwd(), file),
      text: await readFile(file, 'utf8'),
      lint: linted.has(file),
    })),
  );
}

async function filesOf(path: string): Promise<string[]> {
  const absolute = resolve(path);
  const found = await stat(absolute).catch((cause: unknown) => {
    throw new RlsConfigurationError(`${path} cannot be read.`, 'Name files or directories that exist.', {
      cause,
    });
  });
  if (!found.isDirectory()) return [absolute];
  const names = await readdir(absolute);
  return names.filter((name) => MIGRATION_FILE.test(name)).map((name) => join(absolute, name));
}

/** Files that differ from the ref, and files that git does not know yet. */
async function changedSince(ref: string): Promise<Set<string>> {
  // A ref that begins with a dash would be an option of git's.
  if (ref.startsWith('-')) throw notARef(ref);
  try {
    const root = (await git(['rev-parse', '--show-toplevel'])).trim();
    const tracked = await git(['diff', '--name-only', '-z', '--diff-filter=d', ref, '--']);
    const untracked = await git(['ls-files', '--others', '--exclude-standard', '-z', '--full-name', root]);
    const names = `${tracked}${untracked}`.split('\0').filter((name) => MIGRATION_FILE.test(name));
    return new Set(names.map((name) => join(root, name)));
  } catch (cause) {
    throw notARef(ref, cause);
  }
}

async function git(args: readonly string[]): Promise<string> {
  const { stdout } = await execute('git', args, { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

function notARef(ref: string, cause?: unknown): RlsConfigurationError {
  const said = cause instanceof Error ? `: ${cause.message.split('\n').at(-2) ?? cause.message}` : '';
  return new RlsConfigurationError(
    `git cannot tell what changed since ${JSON.stringify(ref)}${said}`,
    'Name a branch, tag or commit of the repository that you are in, for example --since origin/main.',
    { cause },
  );
}

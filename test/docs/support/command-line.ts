import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './pages.js';

const MAIN = join(ROOT, 'libs/rls-tenants/dist/cli/main.js');

/** What `rls-tenants` understands, by its own help. */
export interface CommandLine {
  /** The options of each subcommand. */
  readonly options: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Asks the built command line for its help, and each subcommand for its own. */
export function readCommandLine(): CommandLine {
  const names = [...help().matchAll(/^ {2}([a-z][a-z0-9-]*) /gm)].map(([, name]) => name!);
  return {
    options: new Map(
      names
        .filter((name) => name !== 'help')
        .map((name) => [name, new Set([...help(name).matchAll(/(?<=[\s,])--?[a-z][a-z-]*/g)].map(String))]),
    ),
  };
}

const help = (...names: string[]): string =>
  execFileSync(process.execPath, ['--no-warnings', MAIN, ...names, '--help'], { encoding: 'utf8' });

/** Programs that a reader has, whose arguments are not judged here. */
const PROGRAMS = new Set(
  'npm cd curl kill ls createdb dropdb pg_dump pg_restore psql openssl export node git'.split(' '),
);

/** What is wrong with commands as a page prints them: unknown programs, subcommands, options and npm scripts. */
export function mistakesIn(commands: string, { options }: CommandLine): string[] {
  return commands
    .replaceAll(/\\\n/g, ' ')
    .replaceAll(/(^|\s)#.*$/gm, '')
    .split(/\n|&&|\|/)
    .map((command) => command.trim())
    .filter((command) => command !== '')
    .flatMap((command) => {
      const [program, ...words] = command.replace(/^([A-Z_]+=('[^']*'|\S*) +)*(npx )?/, '').split(/\s+/);
      if (program === 'rls-tenants') return mistakesInOurs(words, options);
      if (program === 'npm' && words[0] === 'run') return scripts().has(words[1]!) ? [] : [command];
      if (program === 'nest')
        return words[0] === 'start' ? mistakesInOurs(words.slice(1), options) : [command];
      if (command.startsWith('npx '))
        return ['tsc', 'typeorm', 'jest', 'nest'].includes(program!) ? [] : [command];
      return PROGRAMS.has(program!) ? [] : [`unknown program: ${command}`];
    });
}

function mistakesInOurs([name, ...words]: string[], options: CommandLine['options']): string[] {
  const known = options.get(name!);
  if (!known) return [`rls-tenants ${name} does not exist`];
  return words
    .filter((word) => /^--?[a-z]/.test(word) && !known.has(word.replace(/=.*/, '')))
    .map((word) => `rls-tenants ${name} has no option ${word}`);
}

const scripts = (): Set<string> =>
  new Set(
    Object.keys(
      (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object }).scripts,
    ),
  );

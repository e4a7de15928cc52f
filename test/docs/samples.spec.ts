import { loadModule, parseSync } from 'libpg-query';
import ts from 'typescript';
import { mistakesIn, readCommandLine } from './support/command-line.js';
import { allPages, fencesOf, pageText, type Fence } from './support/pages.js';
import { typeErrorsOf } from './support/type-check.js';

/** Pages whose TypeScript and SQL other suites run or compare, and which. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'docs/adopting/': 'test/adopting and test/consolidate run it',
  'docs/rules/': 'test/audit renders and runs it',
  'docs/lint/': 'test/lint renders and runs it',
};

/** What no test can compile, and why. A language that is not here has a test below. */
const NOT_COMPILED: Readonly<Record<string, string>> = {
  '': 'output, or a message on the wire: nothing that a reader runs',
  text: 'output; that of the quick start is compared with what is printed',
};

const isElsewhere = (page: string) => Object.keys(ELSEWHERE).some((folder) => page.startsWith(folder));
const pages = allPages();
const ours = pages.filter((page) => !isElsewhere(page));

/** The blocks of these languages, as [`page:line`, block]. */
const blocks = (from: readonly string[], ...languages: string[]): [string, Fence][] =>
  from.flatMap((page) =>
    fencesOf(pageText(page))
      .filter(({ language }) => languages.includes(language))
      .map((fence): [string, Fence] => [`${page}:${fence.line}`, fence]),
  );

it('every TypeScript sample compiles', () => {
  expect(typeErrorsOf(ours)).toEqual([]);
}, 180_000);

it('every JavaScript sample parses', () => {
  for (const [at, { text }] of blocks(ours, 'js')) {
    const options = { reportDiagnostics: true, compilerOptions: { allowJs: true } };
    expect([at, ts.transpileModule(text, options).diagnostics]).toEqual([at, []]);
  }
});

it('every SQL sample parses as PostgreSQL’s', async () => {
  await loadModule();
  const samples = blocks([...ours, ...pages.filter((page) => page.startsWith('docs/adopting/'))], 'sql');
  expect(samples.length).toBeGreaterThan(5);
  const errors = samples.flatMap(([at, { text }]) => {
    try {
      // `…` stands for what a statement says besides.
      parseSync(text.replaceAll(/(?<=\s)…(?=\s)/g, '*'));
      return [];
    } catch (error) {
      return [`${at}: ${(error as Error).message}`];
    }
  });
  expect(errors).toEqual([]);
});

it('every command exists, with its options', () => {
  const commandLine = readCommandLine();
  expect([...commandLine.options.keys()]).toContain('check-rls');
  const errors = blocks(pages, 'sh', 'bash').flatMap(([at, { text }]) =>
    mistakesIn(text, commandLine).map((mistake) => `${at}: ${mistake}`),
  );
  const inline = pages.flatMap((page) =>
    [...pageText(page).matchAll(/`((?:npx )?rls-tenants [a-z][^`]*)`/g)].flatMap(([, command]) =>
      mistakesIn(command!, commandLine).map((mistake) => `${page}: ${mistake}`),
    ),
  );
  const inYaml = blocks(pages, 'yaml').flatMap(([at, { text }]) =>
    [...text.matchAll(/(?:npx )?rls-tenants .*/g)].flatMap(([command]) =>
      mistakesIn(command, commandLine).map((mistake) => `${at}: ${mistake}`),
    ),
  );
  expect([...errors, ...inline, ...inYaml]).toEqual([]);
}, 180_000);

it('every JSON sample parses', () => {
  for (const [at, { text, language }] of blocks(ours, 'json', 'jsonc')) {
    const parsed =
      language === 'json' ? (JSON.parse(text) as object) : ts.parseConfigFileTextToJson(at, text).config;
    expect([at, parsed]).toEqual([at, expect.any(Object)]);
  }
});

it('no sample is of a language without a test', () => {
  const tested = ['ts', 'js', 'sql', 'sh', 'bash', 'yaml', 'json', 'jsonc', ...Object.keys(NOT_COMPILED)];
  const languages = new Set(
    pages.flatMap((page) => fencesOf(pageText(page)).map(({ language }) => language)),
  );
  expect([...languages].filter((language) => !tested.includes(language))).toEqual([]);
});

describe('the tests themselves', () => {
  it('notice a command, a subcommand and an option that do not exist', () => {
    const commandLine = { options: new Map([['check-rls', new Set(['--url'])]]) };
    expect(mistakesIn('npx rls-tenants check-rls --url x', commandLine)).toEqual([]);
    expect(mistakesIn('npx rls-tenants check-rls --uri x', commandLine)).toHaveLength(1);
    expect(mistakesIn('rls-tenants check', commandLine)).toHaveLength(1);
    expect(mistakesIn('npx somebody-elses-package', commandLine)).toHaveLength(1);
    expect(mistakesIn('npm run no-such-script', commandLine)).toHaveLength(1);
  });
});

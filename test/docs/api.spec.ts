import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { ROOT } from './support/pages.js';

const LIBRARY = join(ROOT, 'libs/rls-tenants');

/** The source of each entry point, by the name that an import has. */
const entries = Object.entries(
  (
    JSON.parse(readFileSync(join(LIBRARY, 'package.json'), 'utf8')) as {
      exports: Record<string, { types: string } | string>;
    }
  ).exports,
).flatMap(([name, target]) =>
  typeof target === 'string'
    ? []
    : [[name, join(LIBRARY, target.types.replace('./dist/', 'src/').replace('.d.ts', '.ts'))] as const],
);

/** Whether a symbol says what it promises: by itself, or by what it re-exports. */
function isDocumented(symbol: ts.Symbol, checker: ts.TypeChecker): boolean {
  if (symbol.getDocumentationComment(checker).length > 0) return true;
  if (!(symbol.flags & ts.SymbolFlags.Alias)) return false;
  return checker.getAliasedSymbol(symbol).getDocumentationComment(checker).length > 0;
}

/** `entry: name` of every symbol that `files` export and that has no doc comment. */
function undocumented(files: ReadonlyArray<readonly [string, string]>, host?: ts.CompilerHost): string[] {
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    experimentalDecorators: true,
    skipLibCheck: true,
  };
  const program = ts.createProgram(
    files.map(([, path]) => path),
    options,
    host,
  );
  const checker = program.getTypeChecker();
  return files.flatMap(([entry, path]) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(path)!);
    if (!module) throw new Error(`${path} is no module.`);
    return checker
      .getExportsOfModule(module)
      .filter((symbol) => !isDocumented(symbol, checker))
      .map(({ name }) => `${entry}: ${name}`);
  });
}

it('every public symbol has a doc comment', () => {
  expect(entries.length).toBeGreaterThan(9);
  expect(undocumented(entries)).toEqual([]);
}, 180_000);

it('the test notices a symbol without one', () => {
  const path = '/entry.ts';
  const text =
    '/** Adds. */\nexport const documented = 1;\nexport interface Bare {}\n// Not a doc comment.\nexport const b = 2;\n';
  const host = ts.createCompilerHost({});
  const getSourceFile = host.getSourceFile.bind(host);
  host.getSourceFile = (name, options) =>
    name === path ? ts.createSourceFile(name, text, options) : getSourceFile(name, options);
  expect(undocumented([['.', path]], host)).toEqual(['.: Bare', '.: b']);
});

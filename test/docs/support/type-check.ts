import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import ts from 'typescript';
import { pageText, ROOT, type Fence, fencesOf } from './pages.js';

/** What a sample takes for granted is taken from here, in this order, after the page's own context and earlier samples. */
const TAKEN_FOR_GRANTED = [
  join(ROOT, 'test/docs/context/common.js'),
  '@nestjs/common',
  '@nestjs/core',
  '@nestjs/typeorm',
  'typeorm',
  'rxjs',
  'nestjs-rls-tenants',
  'nestjs-rls-tenants/migrations',
];

const CONTEXTS = join(ROOT, 'test/docs/context');

const OPTIONS: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2024.d.ts'],
  types: ['node', 'jest'],
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  paths: {
    'nestjs-rls-tenants': [join(ROOT, 'libs/rls-tenants/src/index.ts')],
    'nestjs-rls-tenants/testing/*': [join(ROOT, 'libs/rls-tenants/src/testing/*.ts')],
    'nestjs-rls-tenants/*': [join(ROOT, 'libs/rls-tenants/src/*/index.ts')],
  },
};

/** A sample as a module of its own. */
interface Sample {
  readonly path: string;
  readonly fence: Fence;
  readonly page: string;
  /** The sample's own text, inside of what its note puts around it. */
  readonly text: string;
  readonly declared: readonly string[];
  readonly used: ReadonlySet<string>;
}

/**
 * Type-checks the TypeScript samples of `pages`, each as a module. A name that a sample neither declares nor imports is
 * taken from the page's own context (`test/docs/context/<page>/context.ts`, beside which its relative imports are
 * found), from an earlier sample of the page, or from {@link TAKEN_FOR_GRANTED}. A comment above a sample,
 * `<!-- sample: class … -->`, gives what stands around it, with `…` in the sample's place.
 *
 * @returns the errors, as `page:line: message`.
 */
export function typeErrorsOf(pages: readonly string[]): string[] {
  const samples = pages.flatMap(samplesOf);
  const contexts = new Map(pages.map((page) => [page, contextOf(page)]));
  const sources = [...TAKEN_FOR_GRANTED, ...[...contexts.values()].filter((path) => path !== undefined)];
  const exportsOf = exportedNames(sources);

  const files = new Map<string, string>();
  const headers = new Map<string, number>();
  for (const [index, sample] of samples.entries()) {
    const earlier = samples.slice(0, index).filter(({ page }) => page === sample.page);
    const origin = (name: string): string | undefined => {
      const context = contexts.get(sample.page);
      if (context !== undefined && exportsOf.get(context)!.has(name)) return context;
      const before = earlier.findLast(({ declared }) => declared.includes(name));
      if (before) return before.path.replace(/\.ts$/, '.js');
      return TAKEN_FOR_GRANTED.find((source) => exportsOf.get(source)!.has(name));
    };
    const imports = [...sample.used]
      .filter((name) => !sample.declared.includes(name))
      .flatMap((name) => {
        const from = origin(name);
        return from === undefined ? [] : [`import { ${name} } from '${from}';`];
      });
    const header = imports.map((line) => `${line}\n`).join('');
    headers.set(sample.path, imports.length);
    files.set(sample.path, `${header}${sample.text}${exportsFor(sample)}`);
  }

  const host = ts.createCompilerHost(OPTIONS);
  const { directoryExists, fileExists, readFile, getSourceFile } = host;
  host.directoryExists = (path) => path.startsWith(CONTEXTS) || directoryExists!(path);
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.getSourceFile = (path, options, ...rest) =>
    files.has(path)
      ? ts.createSourceFile(path, files.get(path)!, options)
      : getSourceFile(path, options, ...rest);
  const program = ts.createProgram([...files.keys()], OPTIONS, host);
  return samples.flatMap(({ path, page, fence }) => {
    const source = program.getSourceFile(path)!;
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      ({ start = 0, messageText }) => {
        const { line } = source.getLineAndCharacterOfPosition(start);
        const at = fence.line + Math.max(0, line - headers.get(path)!);
        return `${page}:${at}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
      },
    );
  });
}

/** The page's last version of each file, and its samples without a file name. */
function samplesOf(page: string): Sample[] {
  const home = homeOf(page);
  const fences = fencesOf(pageText(page)).filter(({ language }) => language === 'ts');
  return fences
    .filter(({ file }, index) => file === undefined || fences.findLastIndex((f) => f.file === file) === index)
    .map((fence, index) => {
      const path = join(home, fence.file ?? `sample-${index + 1}.ts`);
      const around = fence.note?.startsWith('sample: ') ? fence.note.slice('sample: '.length) : '…';
      const text = around.includes('…') ? around.replace('…', () => fence.text) : fence.text;
      return { path, fence, page, text, ...namesOf(text) };
    });
}

/** What the page's samples import relatively is found here. */
const homeOf = (page: string): string => join(CONTEXTS, page.replace(/^docs\//, '').replace(/\.md$/, ''));

function contextOf(page: string): string | undefined {
  const path = join(homeOf(page), 'context.ts');
  return existsSync(path) ? path.replace(/\.ts$/, '.js') : undefined;
}

/** Names that a text declares at its top or imports, and all identifiers in it. */
function namesOf(text: string): { declared: string[]; used: Set<string> } {
  const source = ts.createSourceFile('sample.ts', text, ts.ScriptTarget.ES2022, true);
  const declared: string[] = [];
  const used = new Set<string>();
  const bind = (name: ts.BindingName): void => {
    if (ts.isIdentifier(name)) declared.push(name.text);
    else for (const element of name.elements) if (ts.isBindingElement(element)) bind(element.name);
  };
  for (const statement of source.statements) {
    if (ts.isVariableStatement(statement))
      for (const { name } of statement.declarationList.declarations) bind(name);
    else if (ts.isImportDeclaration(statement)) {
      const clause = statement.importClause;
      if (clause?.name) declared.push(clause.name.text);
      const bindings = clause?.namedBindings;
      if (bindings && ts.isNamespaceImport(bindings)) declared.push(bindings.name.text);
      else bindings?.elements.forEach(({ name }) => declared.push(name.text));
    } else if (
      (ts.isClassDeclaration(statement) ||
        ts.isFunctionDeclaration(statement) ||
        ts.isInterfaceDeclaration(statement) ||
        ts.isTypeAliasDeclaration(statement)) &&
      statement.name
    )
      declared.push(statement.name.text);
  }
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) used.add(node.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { declared, used };
}

/** Later samples use what this one declares, exported or not. */
function exportsFor({ text, declared }: Sample): string {
  const source = ts.createSourceFile('sample.ts', text, ts.ScriptTarget.ES2022, true);
  const exported = new Set<string>();
  for (const statement of source.statements) {
    if (!ts.canHaveModifiers(statement)) continue;
    if (!ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) continue;
    if (ts.isVariableStatement(statement))
      for (const { name } of statement.declarationList.declarations) exported.add(name.getText(source));
    else exported.add((statement as ts.ClassDeclaration).name?.text ?? '');
  }
  const rest = declared.filter((name) => !exported.has(name));
  return `\nexport { ${rest.join(', ')} };\n`;
}

function exportedNames(modules: readonly string[]): Map<string, Set<string>> {
  const path = join(ROOT, 'test/docs/context/exports.ts');
  const text = modules.map((name, index) => `import * as m${index} from '${name}';`).join('\n');
  const host = ts.createCompilerHost(OPTIONS);
  const { fileExists, getSourceFile } = host;
  host.fileExists = (name) => name === path || fileExists(name);
  host.getSourceFile = (name, options, ...rest) =>
    name === path ? ts.createSourceFile(path, text, options, true) : getSourceFile(name, options, ...rest);
  const program = ts.createProgram([path], OPTIONS, host);
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(path)!;
  return new Map(
    source.statements.map((statement, index) => {
      const symbol = checker.getSymbolAtLocation((statement as ts.ImportDeclaration).moduleSpecifier);
      if (!symbol) throw new Error(`${basename(modules[index]!)} is not found.`);
      return [modules[index]!, new Set(checker.getExportsOfModule(symbol).map(({ name }) => name))];
    }),
  );
}

import { mkdir, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import ts from 'typescript';
import type { TestDatabase } from '../../support/database.js';

const GUIDE = 'docs/adopting/from-schema-per-tenant.md';

/** The guide's code as files that run, and its commands and SQL. */
export interface Guide {
  /** TypeScript, for Jest to load; `dist` has the same as JavaScript, for processes. */
  directory: string;
  /** Arguments of each `npx rls-tenants`, in the guide's order. */
  commands: string[][];
  sql: string[];
}

/** Writes the guide's code to a directory of its own, with this database's roles in place of the guide's. */
export async function writeGuide({ roles }: TestDatabase): Promise<Guide> {
  const directory = await mkdtemp(join(tmpdir(), 'guide-'));
  await mkdir(join(directory, 'dist'));
  await symlink(resolve('node_modules'), join(directory, 'node_modules'));
  await writeFile(join(directory, 'dist/package.json'), '{"type":"module"}');
  const blocks = [...(await readFile(GUIDE, 'utf8')).matchAll(/```(\w+)\n([^]*?)```\n/g)].map(
    ([, language, text]) => ({ language: language!, text: text! }),
  );
  const texts = (language: string) =>
    blocks.filter((block) => block.language === language).map(({ text }) => text);
  for (const text of texts('ts')) {
    if (text.startsWith('// before\n')) continue;
    const name = /^\/\/ (.+)\.ts\n/.exec(text)![1]!;
    const code = text
      .replaceAll("'migrator'", `'${roles.migrator}'`)
      .replaceAll("appRole: 'app'", `appRole: '${roles.app}'`)
      .replaceAll("tenantIdType: 'uuid'", `tenantIdType: 'uuid', adminRole: '${roles.admin}'`);
    await writeFile(join(directory, `${name}.ts`), code);
    await writeFile(join(directory, 'dist', `${name}.js`), javaScript(code));
  }
  const commands = texts('sh').flatMap((text) =>
    text
      .trim()
      .split('\n')
      .filter((line) => line.startsWith('npx rls-tenants '))
      .map((line) => argumentsOf(line).slice(2)),
  );
  return { directory, commands, sql: texts('sql') };
}

function javaScript(code: string): string {
  return ts.transpileModule(code, {
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2022,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
    },
  }).outputText;
}

function argumentsOf(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
}

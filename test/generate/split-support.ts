import { compileFunction } from 'node:vm';
import ts from 'typescript';
import { DataSource, type MigrationInterface } from 'typeorm';
import { MigrationGenerateCommand } from 'typeorm/commands/MigrationGenerateCommand.js';
import type { RenderedFile } from '../../libs/rls-tenants/src/generate/index.js';
import * as library from '../../libs/rls-tenants/src/migrations/index.js';

type MigrationClass = new () => MigrationInterface;

/** Parts of TypeORM's command that write a migration file. */
interface Generator {
  queryParams(parameters: unknown[] | undefined): string;
  getTemplate(name: string, timestamp: number, ups: string[], downs: string[]): string;
}

/** The file that `typeorm migration:generate` writes for an initialized data source. */
export async function generatedByTypeorm(
  dataSource: DataSource,
  name: string,
  timestamp: number,
): Promise<string> {
  const generator = MigrationGenerateCommand as unknown as Generator;
  const { upQueries, downQueries } = await dataSource.driver.createSchemaBuilder().log();
  const calls = (queries: typeof upQueries) =>
    queries.map(
      ({ query, parameters }) =>
        `        await queryRunner.query(\`${query.replaceAll('`', '\\`')}\`${generator.queryParams(parameters)});`,
    );
  return generator.getTemplate(name, timestamp, calls(upQueries), calls(downQueries).toReversed());
}

/** The class that a migration file exports. */
export function load(text: string): MigrationClass {
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
  });
  const exported: Record<string, MigrationClass> = {};
  const required = (name: string): unknown => {
    if (name === 'nestjs-rls-tenants/migrations') return library;
    throw new Error(`A migration imports ${name}.`);
  };
  const run = compileFunction(outputText, ['exports', 'require']) as (...given: unknown[]) => void;
  run(exported, required);
  return Object.values(exported)[0]!;
}

/** Runs migration files, in their order, as `typeorm migration:run` does. */
export function migrationsOf(url: string, files: readonly Pick<RenderedFile, 'text'>[]): DataSource {
  return new DataSource({
    type: 'postgres',
    url,
    migrations: files.map(({ text }) => load(text)),
    migrationsTransactionMode: 'each',
  });
}

/** What the compiler says against files, as strict as this repository. */
export function typeErrors(files: readonly RenderedFile[]): string[] {
  const { config } = ts.readConfigFile('tsconfig.json', (path) => ts.sys.readFile(path));
  const parsed = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, process.cwd());
  const folder = `${process.cwd()}/test/generate/`;
  const texts = new Map(files.map(({ name, text }) => [`${folder}${name}`, text]));
  const host = ts.createCompilerHost(parsed.options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (name) => texts.has(name) || fileExists.call(host, name);
  host.readFile = (name) => texts.get(name) ?? readFile.call(host, name);
  host.getSourceFile = (name, version, ...rest) => {
    const text = texts.get(name);
    return text === undefined
      ? getSourceFile.call(host, name, version, ...rest)
      : ts.createSourceFile(name, text, version, true);
  };
  const program = ts.createProgram([...texts.keys()], parsed.options, host);
  return [...texts.keys()].flatMap((name) => {
    const source = program.getSourceFile(name);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      ({ messageText }) => `${name}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
    );
  });
}

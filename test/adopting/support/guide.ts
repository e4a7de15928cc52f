import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DataSource, type DataSourceOptions, type MigrationInterface } from 'typeorm';
import { checkRls } from '../../../libs/rls-tenants/src/cli/check-rls.js';
import {
  migrationDataSourceOptions,
  MigrationRunner,
  setupRolesSql,
} from '../../../libs/rls-tenants/src/migrations/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';

/** A guide of docs/adopting whose code runs, against a database that its first SQL and `setup-roles` make. */
export interface Guide {
  readonly db: TestDatabase;
  /** The page as it is written. */
  readonly page: string;
  /** The page's SQL, in its order; the first one is what the application has before. */
  readonly sql: readonly string[];
  /** What the code block that begins with `// <file>.ts` exports. */
  load(file: string): unknown;
  /** The application's data source, as the page says it. */
  dataSourceOptions(): DataSourceOptions;
  /** Runs the migrations of these files that are pending, as the migration role. */
  migrate(...files: string[]): Promise<string[]>;
  /** Reverts the migration that ran last. */
  revert(): Promise<string | undefined>;
  /** What `check-rls` prints, and its exit code. */
  checkRls(verbose?: boolean): Promise<{ code: number; stdout: string; stderr: string }>;
  close(): Promise<void>;
}

/** A page's JSON is the configuration of check-rls. */
const CONFIGURATIONS: Readonly<Record<string, string>> = { json: 'rls-tenants.config.json' };

/** Writes the page's code to a directory of its own, with this database's roles in place of the page's. */
export async function openGuide(name: string): Promise<Guide> {
  const db = await createTestDatabase();
  const page = await readFile(`docs/adopting/${name}.md`, 'utf8');
  const blocks = blocksOf(page, db);
  const directory = await mkdtemp(join(tmpdir(), 'guide-'));
  await symlink(resolve('node_modules'), join(directory, 'node_modules'));
  for (const { language, text } of blocks) {
    const file = language === 'ts' ? /^\/\/ (\S+\.ts)\n/.exec(text)?.[1] : CONFIGURATIONS[language];
    if (file !== undefined) await writeFile(join(directory, file), text);
  }
  const sql = blocks.filter(({ language }) => language === 'sql').map(({ text }) => text);
  process.env.DATABASE_URL = db.url('app');
  await db.as('migrator', sql[0]!);
  const { app, migrator, admin } = db.roles;
  for (const step of setupRolesSql({ appRole: app, migrationRole: migrator, adminRole: admin })) {
    await db.asSuperuser(step.sql);
  }

  const load = (file: string): unknown => require(join(directory, `${file}.ts`));
  const options = () =>
    (load('data-source-options') as { dataSourceOptions: DataSourceOptions }).dataSourceOptions;
  const migrations: (new () => MigrationInterface)[] = [];
  const withRunner = async <T>(work: (runner: MigrationRunner) => Promise<T>): Promise<T> => {
    const credentials = { username: db.roles.migrator, password: 'test' };
    const all = { ...options(), migrations } as DataSourceOptions;
    const dataSource = await new DataSource(migrationDataSourceOptions(all, credentials)).initialize();
    try {
      return await work(new MigrationRunner(dataSource, { appRole: db.roles.app }));
    } finally {
      await dataSource.destroy();
    }
  };

  return {
    db,
    page,
    sql,
    load,
    dataSourceOptions: options,
    migrate(...files) {
      for (const file of files)
        migrations.push(...Object.values(load(file) as Record<string, new () => MigrationInterface>));
      return withRunner((runner) => runner.run());
    },
    revert: () => withRunner((runner) => runner.revert()),
    async checkRls(verbose = false) {
      const outcome = { code: -1, stdout: '', stderr: '' };
      const output = {
        colors: false,
        out: (text: string) => void (outcome.stdout += text),
        err: (text: string) => void (outcome.stderr += text),
      };
      const dataSource = () => Promise.resolve(new DataSource(options()));
      const config = blocks.some(({ language }) => language === 'json')
        ? join(directory, CONFIGURATIONS.json!)
        : undefined;
      outcome.code = await checkRls(dataSource, { adminRole: db.roles.admin, verbose, config }, output);
      return outcome;
    },
    async close() {
      await rm(directory, { recursive: true });
      await db.drop();
    },
  };
}

function blocksOf(page: string, { roles }: TestDatabase): { language: string; text: string }[] {
  return [...page.matchAll(/```(\w+)\n([^]*?)```\n/g)].map(([, language, text]) => ({
    language: language!,
    text: text!
      .replaceAll("appRole: 'app'", `appRole: '${roles.app}'`)
      .replaceAll("tenantIdType: 'uuid'", `tenantIdType: 'uuid', adminRole: '${roles.admin}'`)
      .replaceAll('rls_admin', roles.admin)
      .replaceAll(/\bTO app\b/g, `TO ${roles.app}`),
  }));
}

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataSource, type MigrationInterface } from 'typeorm';
import { auditDataSource, isFailure } from '../../libs/rls-tenants/src/audit/index.js';
import {
  generateMigration,
  type GenerateMigrationOptions,
} from '../../libs/rls-tenants/src/cli/generate-migration.js';
import { lintMigrations } from '../../libs/rls-tenants/src/lint/index.js';
import { migrationDataSourceOptions, MigrationRunner } from '../../libs/rls-tenants/src/migrations/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import type { Entities } from './generate-entities.js';

/** What the command did. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The names of the files that it wrote. */
  readonly files: readonly string[];
}

/** A database, a folder of migrations, and what a user does with them. */
export interface Project extends TestDatabase {
  /** Makes the tables of the entities as TypeORM does. */
  synchronize(entities: Entities): Promise<void>;
  /** Runs `generate-migration`. */
  generate(entities: Entities, options?: GenerateMigrationOptions): Promise<Outcome>;
  /** Runs every migration of the folder that is pending. */
  migrate(): Promise<string[]>;
  /** Reverts the migration that ran last; undefined if none is left. */
  revert(): Promise<string | undefined>;
  /** What `check-rls` has against the database. */
  failures(entities: Entities): Promise<string[]>;
  /** What `lint-migrations` has against the files of the folder. */
  lintErrors(): Promise<string[]>;
  /** The text of the file whose name has these words, spaces aside. */
  textOf(words: string): Promise<string>;
}

const TENANT_TABLES = ['member', 'folder', 'label', 'document'];

export async function createProject(): Promise<Project> {
  const db = await createTestDatabase();
  const dir = await mkdtemp(join(tmpdir(), 'generate-'));
  const roles = { appRole: db.roles.app, adminRole: db.roles.admin };
  // TypeORM makes its own table of views and generated columns only if an entity asks for it.
  let latest: Entities = [];
  const files = async () => (await readdir(dir)).sort();
  const read = async () =>
    Promise.all(
      (await files()).map(async (file) => ({ file, text: await readFile(join(dir, file), 'utf8') })),
    );

  const dataSource = async (entities: Entities) => {
    const modules = await Promise.all(
      (await files()).map((file) => import(join(dir, file)) as Promise<Record<string, unknown>>),
    );
    const migrations = modules.flatMap((one) => Object.values(one)) as (new () => MigrationInterface)[];
    const application = {
      type: 'postgres',
      url: db.url('app'),
      uuidExtension: 'pgcrypto',
      installExtensions: false,
      entities,
      migrations,
    } as const;
    return new DataSource(
      migrationDataSourceOptions(application, { username: db.roles.migrator, password: 'test' }),
    );
  };
  const using = async <T>(entities: Entities, work: (dataSource: DataSource) => Promise<T>): Promise<T> => {
    const source = await (await dataSource(entities)).initialize();
    try {
      return await work(source);
    } finally {
      await source.destroy();
    }
  };
  return {
    ...db,
    synchronize: (entities) =>
      using(entities, async (source) => {
        const { upQueries } = await source.driver.createSchemaBuilder().log();
        for (const { query, parameters } of upQueries) await source.query(query, parameters);
      }),
    async generate(entities, options = {}) {
      latest = entities;
      const before = await files();
      const text = { stdout: '', stderr: '' };
      const output = {
        out: (part: string) => void (text.stdout += part),
        err: (part: string) => void (text.stderr += part),
        colors: false,
      };
      const told = { ...roles, dir, ...options };
      const code = await generateMigration(() => dataSource(entities), 'MyChange', told, output);
      return { code, ...text, files: (await files()).filter((file) => !before.includes(file)) };
    },
    migrate: () => using(latest, (source) => new MigrationRunner(source, { appRole: db.roles.app }).run()),
    revert: () => using(latest, (source) => new MigrationRunner(source, { appRole: db.roles.app }).revert()),
    failures: (entities) =>
      using(entities, async (source) => {
        const { findings } = await auditDataSource(source, { role: db.roles.app, adminRole: db.roles.admin });
        return findings.filter(isFailure).map(({ ruleId, message }) => `${ruleId}: ${message}`);
      }),
    async lintErrors() {
      const options = { adminRole: db.roles.admin, tenantTables: TENANT_TABLES };
      const { findings } = await lintMigrations(await read(), options);
      return findings
        .filter(({ severity }) => severity === 'error')
        .map(({ file, line, ruleId, message }) => `${file}:${line} ${ruleId} ${message}`);
    },
    async textOf(words) {
      const found = (await read()).filter(({ file }) => file.includes(words));
      expect(found).toHaveLength(1);
      return found[0]!.text.replaceAll(/\s+/g, ' ');
    },
    async drop() {
      await rm(dir, { recursive: true });
      await db.drop();
    },
  };
}

import { DataSource, type MigrationInterface, type QueryRunner } from 'typeorm';
import ts from 'typescript';
import { Script } from 'node:vm';
import {
  lintMigrations,
  type CorrectedFile,
  type LintFinding,
} from '../../libs/rls-tenants/src/lint/index.js';
import * as operations from '../../libs/rls-tenants/src/migrations/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { lintText, migration } from './lint-support.js';

let database: TestDatabase;
let dataSource: DataSource;

beforeAll(async () => {
  database = await createTestDatabase();
  dataSource = await new DataSource({ type: 'postgres', url: database.url('migrator') }).initialize();
  await dataSource.query(`
    CREATE TABLE note (id int PRIMARY KEY, slug text, title text, size int);
    CREATE TABLE event (id int, at date) PARTITION BY RANGE (at);
    CREATE TABLE event_2026 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE TABLE event_rest PARTITION OF event DEFAULT;
    INSERT INTO note SELECT n, n::text, n::text, n FROM generate_series(1, 100) AS n;
    INSERT INTO event SELECT n, '2026-01-01'::date + n FROM generate_series(1, 100) AS n`);
});
afterAll(async () => {
  await dataSource.destroy();
  await database.drop();
});

/** What a rule finds in one statement. */
async function finding(sql: string, rule: string): Promise<LintFinding> {
  const up = `await queryRunner.query(${JSON.stringify(sql)});`;
  const { findings } = await lintText(migration(up), { partitionedTables: ['event'] });
  return findings.find(({ ruleId }) => ruleId === rule)!;
}

/** The migration of a corrected file, compiled. */
function compiled({ text }: CorrectedFile): MigrationInterface {
  const { outputText } = ts.transpileModule(text, { compilerOptions: { module: ts.ModuleKind.CommonJS } });
  const exported: Record<string, new () => MigrationInterface> = {};
  const script = new Script(`(function (exports, require) {${outputText}})`);
  (script.runInThisContext() as (...told: unknown[]) => void)(exported, () => operations);
  return new (Object.values(exported)[0]!)();
}

/** Everything of the tables that the files may change; what an index of a partition is called is of no account. */
const SCHEMA_SQL = `
  SELECT CASE WHEN c.relispartition THEN t.relname ELSE c.relname END AS name,
         replace(pg_get_indexdef(i.indexrelid), CASE WHEN c.relispartition THEN c.relname ELSE '' END, '') AS definition,
         i.indisvalid AS fine
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
   WHERE t.relnamespace = 'public'::regnamespace
  UNION ALL
  SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
   WHERE connamespace = 'public'::regnamespace
  UNION ALL
  SELECT attname, attrelid::regclass::text, attnotnull FROM pg_attribute
   WHERE attrelid = 'note'::regclass AND attnum > 0
   ORDER BY 1, 2`;

/** As `migration:revert` does: the last one first, each in a transaction whatever it says. */
async function revert(runner: QueryRunner, migrations: readonly MigrationInterface[]): Promise<void> {
  for (const one of migrations.toReversed()) {
    await runner.startTransaction();
    await one.down(runner);
    if (runner.isTransactionActive) await runner.commitTransaction();
  }
}

const CASES = [
  ['MIG020', 'CREATE INDEX note_title ON note (title)'],
  ['MIG020', `CREATE UNIQUE INDEX "Note Slug" ON note (slug, title) WHERE (title <> 'where')`],
  ['MIG020', 'CREATE INDEX note_hash ON note USING hash (title)'],
  ['MIG020', 'CREATE INDEX note_lower ON note (lower(title), size DESC)'],
  ['MIG020', 'CREATE INDEX note_include ON note (size) INCLUDE (title)'],
  ['MIG022', 'CREATE INDEX event_at ON event (at)'],
  ['MIG024', 'ALTER TABLE note ADD CONSTRAINT note_slug UNIQUE (slug)'],
  ['MIG034', 'ALTER TABLE note ALTER COLUMN size SET NOT NULL'],
  ['MIG033', 'ALTER TABLE note ADD CONSTRAINT note_size CHECK (size > 0)'],
  ['MIG033', `ALTER TABLE note ADD CONSTRAINT note_big CHECK ((size > 0) OR (title <> ')'))`],
  ['MIG033', 'ALTER TABLE note ADD CONSTRAINT note_own CHECK (size < 999) NO INHERIT'],
  ['MIG030', 'ALTER TABLE note ADD CONSTRAINT note_self FOREIGN KEY (size) REFERENCES note (id)'],
] as const;

describe('the corrected files', () => {
  it.each(CASES)('of %s for %s run, do what the statement does, and revert', async (rule, sql) => {
    const { files = [] } = await finding(sql, rule);
    expect(files).not.toEqual([]);
    const runner = dataSource.createQueryRunner();
    const before: unknown = await runner.query(SCHEMA_SQL);
    try {
      await runner.startTransaction();
      await runner.query(sql);
      const wanted: unknown = await runner.query(SCHEMA_SQL);
      await runner.rollbackTransaction();
      const migrations = files.map(compiled);
      for (const one of migrations) {
        if (one.transaction !== false) await runner.startTransaction();
        await one.up(runner);
        if (runner.isTransactionActive) await runner.commitTransaction();
      }
      expect(await runner.query(SCHEMA_SQL)).toEqual(wanted);
      await revert(runner, migrations);
      expect(await runner.query(SCHEMA_SQL)).toEqual(before);
    } finally {
      await runner.release();
    }
  });

  it.each(CASES.filter(([rule, sql]) => rule !== 'MIG030' && !sql.includes('NO INHERIT')))(
    'of %s for %s can be run again',
    async (rule, sql) => {
      const { files = [] } = await finding(sql, rule);
      const runner = dataSource.createQueryRunner();
      try {
        const migrations = files.map(compiled);
        for (const one of migrations) await one.up(runner);
        const once: unknown = await runner.query(SCHEMA_SQL);
        for (const one of migrations) await one.up(runner);
        expect(await runner.query(SCHEMA_SQL)).toEqual(once);
        await revert(runner, migrations);
      } finally {
        await runner.release();
      }
    },
  );

  it.each(CASES)('of %s for %s have no finding themselves', async (rule, sql) => {
    const { files = [] } = await finding(sql, rule);
    const inputs = files.map(({ name, text }) => ({ file: name, text }));
    const report = await lintMigrations(inputs, { squawk: false, partitionedTables: ['event'] });
    expect(report.findings).toEqual([]);
    expect(report.coverage.migrations).toBe(files.length);
  });

  it('are not made where the operation cannot be told all that the statement says', async () => {
    for (const more of ['DEFERRABLE', 'INCLUDE (title)', 'NULLS NOT DISTINCT']) {
      const nulls = more.startsWith('NULLS');
      const sql = `ALTER TABLE note ADD CONSTRAINT u UNIQUE ${nulls ? `${more} (slug)` : `(slug) ${more}`}`;
      expect(await finding(sql, 'MIG024')).not.toHaveProperty('files');
    }
    expect(
      await finding('ALTER TABLE note ADD COLUMN a int, ADD CONSTRAINT u UNIQUE (a)', 'MIG024'),
    ).not.toHaveProperty('files');
  });

  it('of a new partitioned table use the operation for partitioned tables', async () => {
    const up = [
      "await queryRunner.query('CREATE TABLE log (id int, at date) PARTITION BY RANGE (at)');",
      "await queryRunner.query('CREATE INDEX log_at ON log (at)');",
    ].join('\n');
    const { findings } = await lintText(migration(up));
    const found = findings.find(({ ruleId }) => ruleId === 'MIG086');
    expect(found?.files?.[0]?.text).toContain(
      "partitionedIndex({ table: 'log', name: 'log_at', columns: ['at'] })",
    );
  });
});

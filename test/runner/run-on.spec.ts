import type { DataSource, MigrationInterface, QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import {
  RlsMigration,
  runOn,
  runSql,
  withHints,
  type AllowMigrate,
  type MigrationDataSourceSettings,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { migrationDataSource } from './runner-support.js';

/** Two databases with the same migrations. */
let main: TestDatabase;
let reports: TestDatabase;
let opened: DataSource[];

beforeEach(async () => {
  [main, reports] = await Promise.all([createTestDatabase(), createTestDatabase()]);
  opened = [];
});
afterEach(async () => {
  await Promise.all(opened.map((dataSource) => dataSource.destroy()));
  await Promise.all([main.drop(), reports.drop()]);
});

const table = (name: string) => runSql(`CREATE TABLE ${name} (n int)`, `DROP TABLE ${name}`);

class Everywhere1760000000001 extends RlsMigration {
  readonly operations = [
    table('everywhere'),
    runOn('default')(table('main_only')),
    withHints({ target: 'reports' })(table('reports_only')),
  ];
}

@runOn('reports', 'archive')
class Decorated1760000000002 implements MigrationInterface {
  readonly rows = 3;
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`CREATE TABLE decorated AS SELECT generate_series(1, ${this.rows}) AS n`);
  }
  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE decorated');
  }
}

const allowMigrate: AllowMigrate = (name, { target }) => target === undefined || target === name;

async function open(
  db: TestDatabase,
  settings: Partial<MigrationDataSourceSettings>,
  migrations: (new () => MigrationInterface)[] = [Everywhere1760000000001, Decorated1760000000002],
): Promise<DataSource> {
  // TypeORM prints the error of a failing migration, whatever `logging` says.
  jest.spyOn(console, 'log').mockImplementation(() => undefined);
  const dataSource = await migrationDataSource(db, migrations, settings);
  opened.push(dataSource);
  return dataSource;
}

const tablesOf = async (db: TestDatabase) =>
  (
    await db.asSuperuser<{ name: string }>(
      `SELECT relname::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname`,
    )
  ).map(({ name }) => name);

it('runs on each of two databases what is for it, counts the rest as applied, and undoes what it did', async () => {
  const one = await open(main, { name: 'default', allowMigrate });
  const two = await open(reports, { name: 'reports', allowMigrate });
  for (const dataSource of [one, two]) expect(await dataSource.runMigrations()).toHaveLength(2);
  expect(await tablesOf(main)).toEqual(['everywhere', 'main_only', 'migrations']);
  expect(await tablesOf(reports)).toEqual(['decorated', 'everywhere', 'migrations', 'reports_only']);
  expect(await reports.asSuperuser('SELECT count(*)::int AS n FROM decorated')).toEqual([{ n: 3 }]);

  for (const dataSource of [one, one, two, two]) await dataSource.undoLastMigration();
  expect(await tablesOf(main)).toEqual(['migrations']);
  expect(await tablesOf(reports)).toEqual(['migrations']);
});

it('takes the name that a data source has among its own options, as @nestjs/typeorm gives it', async () => {
  const dataSource = await open(main, {}, [Decorated1760000000002]);
  Object.assign(dataSource.options, { name: 'archive' });
  await dataSource.runMigrations();
  expect(await tablesOf(main)).toEqual(['decorated', 'migrations']);
});

it('refuses to guess: without a name or a router nothing counts as applied', async () => {
  await expect((await open(main, {})).runMigrations()).rejects.toThrow('The data source has no name');
  await expect((await open(main, { name: 'default' })).runMigrations()).rejects.toThrow(
    'The data source "default" has no `allowMigrate`, and something to migrate has hints {"target":"reports"}.',
  );
  expect(await main.asSuperuser('SELECT * FROM migrations')).toEqual([]);
});

it('says where an operation runs', () => {
  expect(runOn('default', 'eu')(table('note')).description).toBe(
    'CREATE TABLE note (n int) (on "default", "eu")',
  );
  expect(withHints({ target: 'eu' })(table('note')).description).toContain('with hints {"target":"eu"}');
});

it('refuses to decorate a class whose up is no method', () => {
  class Odd {
    readonly up = () => Promise.resolve();
    readonly down = () => Promise.resolve();
  }
  expect(() => runOn('default')(Odd)).toThrow(RlsConfigurationError);
});

import pg from 'pg';
import { DataSource, type DataSourceOptions, type MigrationInterface, type QueryRunner } from 'typeorm';
import {
  migrationDataSourceOptions,
  type MigrationDataSourceSettings,
  type MigrationEvent,
} from '../../libs/rls-tenants/src/migrations/index.js';
import type { TestDatabase } from '../support/database.js';

type Step = (queryRunner: QueryRunner) => Promise<unknown>;
type MigrationClass = new () => MigrationInterface;

/** A migration class of that name. */
export function migration(
  name: string,
  up: Step,
  {
    down = () => Promise.resolve(),
    ...properties
  }: { down?: Step; transaction?: boolean; idempotent?: boolean } = {},
): MigrationClass {
  return class implements MigrationInterface {
    readonly name = name;
    constructor() {
      Object.assign(this, properties);
    }
    async up(queryRunner: QueryRunner): Promise<void> {
      await up(queryRunner);
    }
    async down(queryRunner: QueryRunner): Promise<void> {
      await down(queryRunner);
    }
  };
}

/** SQL as a step. */
export function sql(...statements: string[]): Step {
  return async (queryRunner) => {
    for (const statement of statements) await queryRunner.query(statement);
  };
}

/** The data source that runs migrations as the migration role. */
export function migrationDataSource(
  db: TestDatabase,
  migrations: MigrationClass[],
  settings: Partial<MigrationDataSourceSettings> = {},
): Promise<DataSource> {
  const application: DataSourceOptions = { type: 'postgres', url: db.url('app'), migrations, logging: false };
  const credentials = { username: db.roles.migrator, password: 'test' };
  return new DataSource(
    migrationDataSourceOptions(application, { ...credentials, ...settings }),
  ).initialize();
}

/** Another session, on which a transaction stays open. */
export async function session(db: TestDatabase, name = 'api'): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: db.url(), application_name: name });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** The events of one type. */
export function eventsOf<Type extends MigrationEvent['type']>(
  events: readonly MigrationEvent[],
  type: Type,
): Extract<MigrationEvent, { type: Type }>[] {
  return events.filter((event): event is Extract<MigrationEvent, { type: Type }> => event.type === type);
}

/** Waits until a query gives a row. */
export async function until(db: TestDatabase, query: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if ((await db.asSuperuser(query)).length > 0) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`Nothing came of: ${query}`);
}

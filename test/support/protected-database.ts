import { DataSource, type DataSourceOptions } from 'typeorm';
import { isolateDataSource, type IsolationOptions } from '../../libs/rls-tenants/src/connection/index.js';
import { tenantTablesOf } from '../../libs/rls-tenants/src/entities/index.js';
import {
  protectJoinTableSql,
  protectTableSql,
  quoteIdentifier,
  quoteTable,
} from '../../libs/rls-tenants/src/policies/index.js';
import { createTestDatabase, type TestDatabase } from './database.js';

export type PostgresOptions = Extract<DataSourceOptions, { type: 'postgres' }>;

/** A test database whose schema is made from entities and protected, and isolated data sources on it. */
export interface ProtectedDatabase extends TestDatabase {
  /** A data source of the app role that is not isolated. */
  plain(overrides?: Partial<PostgresOptions>): Promise<DataSource>;
  /** An isolated data source of the app role. */
  isolated(options?: Partial<IsolationOptions>, overrides?: Partial<PostgresOptions>): Promise<DataSource>;
}

type Entities = NonNullable<DataSourceOptions['entities']>;

/** Creates the schema of the entities as the migration role, protects every tenant-scoped table, and grants. */
export async function createProtectedDatabase(
  entities: Entities,
  tenantIdType: IsolationOptions['tenantIdType'] = 'uuid',
): Promise<ProtectedDatabase> {
  const db = await createTestDatabase();
  const migrator = await new DataSource({ type: 'postgres', url: db.url('migrator'), entities }).initialize();
  try {
    const { upQueries } = await migrator.driver.createSchemaBuilder().log();
    for (const { query, parameters } of upQueries) await migrator.query(query, parameters);
    for (const sql of protectionSql(migrator, db)) await migrator.query(sql);
  } finally {
    await migrator.destroy();
  }
  const opened: DataSource[] = [];
  const plain = async (overrides: Partial<PostgresOptions> = {}) => {
    const options = {
      type: 'postgres',
      url: db.url('app'),
      entities,
      poolSize: 3,
      ...overrides,
    } as PostgresOptions;
    const dataSource = await new DataSource(options).initialize();
    opened.push(dataSource);
    return dataSource;
  };
  return {
    ...db,
    plain,
    isolated: async (options, overrides) =>
      isolateDataSource(await plain(overrides), { tenantIdType, adminRole: db.roles.admin, ...options }),
    async drop() {
      await Promise.all(
        opened.filter(({ isInitialized }) => isInitialized).map((dataSource) => dataSource.destroy()),
      );
      await db.drop();
    },
  };
}

function protectionSql(dataSource: DataSource, db: TestDatabase): string[] {
  const grants = dataSource.entityMetadatas.map(
    ({ tablePath }) =>
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ${quoteTable(tablePath)} TO ${quoteIdentifier(db.roles.app)}, ${quoteIdentifier(db.roles.admin)}`,
  );
  const sequences = `GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${db.roles.app}, ${db.roles.admin}`;
  const policies = tenantTablesOf(dataSource).flatMap((table) =>
    (table.kind === 'entity' ? protectTableSql : protectJoinTableSql)({
      ...table,
      adminRole: db.roles.admin,
    }),
  );
  return [...grants, sequences, ...policies];
}

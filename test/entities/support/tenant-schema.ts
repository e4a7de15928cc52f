import { DataSource, type DataSourceOptions, type EntityManager } from 'typeorm';
import { tenantTablesOf, type TenantScopedTable } from '../../../libs/rls-tenants/src/entities/index.js';
import {
  grantSql,
  protectExistsJoinTableSql,
  protectJoinTableSql,
  protectTableSql,
  TABLE_PRIVILEGES,
} from '../../../libs/rls-tenants/src/policies/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';

type Entities = NonNullable<DataSourceOptions['entities']>;

/** A test database whose schema TypeORM's schema builder made as the migration role, and which is then protected. */
export interface TenantSchema extends TestDatabase {
  /** A data source of the migration role. */
  readonly migrator: DataSource;
  /** A data source of the app role. */
  readonly app: DataSource;
  /** What the schema builder would still change. */
  pendingQueries(): Promise<string[]>;
  /** Runs `work` as the app role in a transaction whose tenant setting was set by hand. */
  asTenant<T>(tenantId: string | number, work: (manager: EntityManager) => Promise<T>): Promise<T>;
}

export async function createTenantSchema(
  entities: Entities,
  options: Pick<DataSourceOptions, 'namingStrategy' | 'entityPrefix'> = {},
): Promise<TenantSchema> {
  const db = await createTestDatabase();
  await db.as(
    'migrator',
    `CREATE SCHEMA store; GRANT USAGE ON SCHEMA store TO ${db.roles.app}, ${db.roles.admin}`,
  );
  const shared = { ...options, type: 'postgres', entities } as const;
  const migrator = await new DataSource({ ...shared, url: db.url('migrator') }).initialize();
  const { upQueries } = await migrator.driver.createSchemaBuilder().log();
  for (const { query, parameters } of upQueries) await migrator.query(query, parameters);
  await protect(migrator, db);
  const app = await new DataSource({ ...shared, url: db.url('app'), poolSize: 2 }).initialize();
  return {
    ...db,
    migrator,
    app,
    pendingQueries: async () => {
      const pending = await migrator.driver.createSchemaBuilder().log();
      return pending.upQueries.map(({ query }) => query);
    },
    asTenant: (tenantId, work) =>
      app.transaction(async (manager) => {
        await manager.query(`SELECT set_config('rls.current_tenant', $1, true)`, [String(tenantId)]);
        return work(manager);
      }),
    async drop() {
      await Promise.all([migrator.destroy(), app.destroy()]);
      await db.drop();
    },
  };
}

async function protect(migrator: DataSource, { roles }: TestDatabase): Promise<void> {
  const grants = migrator.entityMetadatas.flatMap(({ tablePath: table }) =>
    [roles.app, roles.admin].map((role) => grantSql({ role, table, privileges: TABLE_PRIVILEGES })),
  );
  const policies = tenantTablesOf(migrator).flatMap((table) =>
    protectionOf({ ...table, adminRole: roles.admin }),
  );
  for (const sql of [...policies, ...grants]) await migrator.query(sql);
  await migrator.query(
    `GRANT USAGE ON ALL SEQUENCES IN SCHEMA public, store TO ${roles.app}, ${roles.admin}`,
  );
}

function protectionOf(table: TenantScopedTable): string[] {
  if (table.kind === 'entity') return protectTableSql(table);
  return table.sides
    ? protectExistsJoinTableSql({ ...table, joinTable: table.table, sides: table.sides })
    : protectJoinTableSql(table);
}

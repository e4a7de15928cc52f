import { protectTable } from 'nestjs-rls-tenants/migrations';
import { DataSource } from 'typeorm';
import type { Tenants } from '../support/contender.js';
import { APP_ROLE, MIGRATION_ROLE, type BenchServer } from '../support/server.js';
import { dataSourceOptions } from './data-source.js';
import { entityKind, type Isolation } from './entities.js';

/** Makes both schemas with tables for so many entities, and fills their tasks with the same rows. */
export async function prepareDatabase(
  server: BenchServer,
  size: { entities: number; tenants: number; tasks: number },
): Promise<Tenants> {
  for (const isolation of ['plain', 'rls'] as const) {
    await server.sql(
      `CREATE SCHEMA ${isolation} AUTHORIZATION ${MIGRATION_ROLE}; GRANT USAGE ON SCHEMA ${isolation} TO ${APP_ROLE}`,
    );
    await createTables(server, isolation, size.entities);
  }
  await server.sql(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA plain TO ${APP_ROLE}`);
  await fillTasks(server, size);
  const rows = await server.sql<{ tenant: string; ids: string[] }>(
    `SELECT tenant_id AS tenant, array_agg(id::text) AS ids FROM plain.task GROUP BY tenant_id`,
  );
  return { tenants: rows.map(({ tenant }) => tenant), ids: rows.map(({ ids }) => ids) };
}

/** As an application's migrations would: TypeORM makes the tables, the library's operation protects them. */
async function createTables(server: BenchServer, isolation: Isolation, entities: number): Promise<void> {
  const kind = await entityKind(isolation);
  const url = server.url(MIGRATION_ROLE);
  const dataSource = await new DataSource(dataSourceOptions({ kind, entities, url })).initialize();
  try {
    await dataSource.synchronize();
    if (isolation === 'plain') return;
    const queryRunner = dataSource.createQueryRunner();
    for (const { tablePath } of dataSource.entityMetadatas) {
      await protectTable({ table: tablePath, tenantIdType: 'uuid', appRole: APP_ROLE }).up(queryRunner);
    }
    await queryRunner.release();
  } finally {
    await dataSource.destroy();
  }
}

async function fillTasks(server: BenchServer, size: { tenants: number; tasks: number }): Promise<void> {
  const columns =
    'id, tenant_id, title, body, status, priority, assignee, done, due_at, created_at, updated_at';
  await server.sql(
    `INSERT INTO plain.task (${columns})
     SELECT gen_random_uuid(), md5('tenant ' || tenant)::uuid, 'Task ' || task, repeat('What is to be done. ', 10),
       (ARRAY['open', 'started', 'blocked', 'closed'])[1 + task % 4], task % 5, 'user' || task % 7, task % 4 = 3,
       now() + task * interval '1 hour', now() - task * interval '1 minute', now()
     FROM generate_series(1, ${size.tasks}) AS task, generate_series(1, ${size.tenants}) AS tenant;
     INSERT INTO rls.task (${columns}) SELECT ${columns} FROM plain.task`,
  );
  for (const schema of ['plain', 'rls']) await server.sql(`VACUUM ANALYZE ${schema}.task`);
}

import { backfillProgressTable } from 'nestjs-rls-tenants';
import { protectTable } from 'nestjs-rls-tenants/migrations';
import { ADMIN_ROLE, APP_ROLE, type BenchServer } from '../support/server.js';
import { BACKFILLED_TABLE, WARM_UP_TABLE } from './backfill-steps.js';
import { migrateDatabase } from './migrate-database.js';
import { once, type Work } from './work.js';

const WARM_UP_ROWS = 1000;

/** Rows and tenants grow together; a tenant has so many rows at any size. */
export function backfillWork(server: BenchServer, sizes: readonly number[], rowsPerTenant: number): Work {
  const template = once((rows) => createTemplate(server, rows, Math.max(1, rows / rowsPerTenant)));
  let copies = 0;
  return {
    name: 'backfill',
    unit: 'rows',
    sizes,
    async prepare(rows) {
      const source = await template(rows);
      if (copies > 0) await server.sql(`DROP DATABASE backfilled_${copies} WITH (FORCE)`);
      const database = `backfilled_${++copies}`;
      await server.sql(`CREATE DATABASE ${database} TEMPLATE ${source} STRATEGY file_copy`);
      return {
        job: { kind: 'backfill', url: server.url(APP_ROLE, database), adminRole: ADMIN_ROLE },
        check: () => checkRows(server, database, rows),
      };
    },
  };
}

async function createTemplate(server: BenchServer, rows: number, tenants: number): Promise<string> {
  const database = `backfill_template_${rows}`;
  await server.sql(`CREATE DATABASE ${database}`);
  await server.sql(
    `GRANT USAGE ON SCHEMA public TO ${APP_ROLE}, ${ADMIN_ROLE};
     ${tableSql(WARM_UP_TABLE, WARM_UP_ROWS, 1)};
     ${tableSql(BACKFILLED_TABLE, rows, tenants)}`,
    database,
  );
  const settings = { tenantIdType: 'uuid', appRole: APP_ROLE, adminRole: ADMIN_ROLE } as const;
  await migrateDatabase(server.url('postgres', database), [
    protectTable({ ...settings, table: WARM_UP_TABLE }),
    protectTable({ ...settings, table: BACKFILLED_TABLE }),
    backfillProgressTable(settings),
  ]);
  await server.sql('VACUUM ANALYZE', database);
  return database;
}

/** Keys interleave between tenants, as they do in a table that all tenants write to. */
function tableSql(table: string, rows: number, tenants: number): string {
  return `CREATE TABLE ${table} (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, title text NOT NULL, slug text,
      hits int NOT NULL DEFAULT 0, UNIQUE (tenant_id, id));
    INSERT INTO ${table} (id, tenant_id, title)
    SELECT n, ('00000000-0000-4000-8000-' || lpad((n % ${tenants})::text, 12, '0'))::uuid, 'Title ' || n
    FROM generate_series(1, ${rows}) AS n`;
}

async function checkRows(server: BenchServer, database: string, rows: number): Promise<void> {
  const [row] = await server.sql<{ changed: number }>(
    `SELECT count(*)::int AS changed FROM ${BACKFILLED_TABLE} WHERE hits = 1 AND slug IS NOT NULL`,
    database,
  );
  if (row!.changed !== rows) throw new Error(`${row!.changed} of ${rows} rows were changed once.`);
}

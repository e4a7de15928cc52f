import { protectSealed, SEALED_SETTING } from '../support/seal.js';
import {
  ADMIN_ROLE,
  APP_ROLE,
  MIGRATION_ROLE,
  SEALED_APP_ROLE,
  type BenchServer,
} from '../support/server.js';
import type { Tenants } from '../support/contender.js';

/** The same table: without RLS, under the library's policy, under that policy on another setting, and sealed. */
const SCHEMAS = {
  plain: undefined,
  rls: 'rls.current_tenant',
  avallone: 'rls.tenant_id',
  sealed: SEALED_SETTING,
} as const;

/** Makes the tables, with so many rows for each tenant. */
export async function createTables(
  server: BenchServer,
  tenants: number,
  rowsPerTenant: number,
): Promise<Tenants> {
  const tables = Object.entries(SCHEMAS).map(([schema, setting]) => tableSql(schema, setting));
  await server.sql(`${SOURCE_SQL(tenants, rowsPerTenant)}; ${tables.join('; ')}; DROP TABLE source`);
  await server.sql(
    `GRANT CREATE ON DATABASE postgres TO ${MIGRATION_ROLE};
     GRANT USAGE ON SCHEMA sealed TO ${MIGRATION_ROLE}, ${SEALED_APP_ROLE};
     ALTER TABLE sealed.task OWNER TO ${MIGRATION_ROLE}`,
  );
  await protectSealed(server, 'sealed.task');
  await server.sql('VACUUM ANALYZE');
  const rows = await server.sql<{ tenant_id: string; ids: string[] }>(
    `SELECT tenant_id, (array_agg(id ORDER BY id))[1:500] AS ids FROM plain.task GROUP BY tenant_id ORDER BY tenant_id`,
  );
  return { tenants: rows.map(({ tenant_id }) => tenant_id), ids: rows.map(({ ids }) => ids) };
}

/** Rows of all tenants, mixed as they are where all of them work at the same time. */
const SOURCE_SQL = (tenants: number, rowsPerTenant: number) => `
  CREATE TABLE source AS
  SELECT gen_random_uuid() AS id,
         ('00000000-0000-4000-8000-' || lpad((1 + n % ${tenants})::text, 12, '0'))::uuid AS tenant_id,
         'Task ' || n AS title,
         'What is to be done about ' || md5(n::text) AS body,
         (ARRAY['open', 'doing', 'done'])[1 + n % 3] AS status,
         n % 5 AS priority,
         CASE WHEN n % 2 = 0 THEN 'someone' END AS assignee,
         n % 3 = 2 AS done,
         now() + n * interval '1 minute' AS due_at,
         now() - n * interval '1 second' AS created_at,
         now() AS updated_at
  FROM generate_series(1, ${tenants * rowsPerTenant}) AS n`;

function tableSql(schema: string, setting: string | undefined): string {
  const tenant = setting && `NULLIF(current_setting('${setting}', true), '')::uuid`;
  const table = `${schema}.task`;
  const statements = [
    `CREATE SCHEMA ${schema}`,
    `CREATE TABLE ${table} (
       id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
       tenant_id uuid NOT NULL ${tenant ? `DEFAULT ${tenant}` : ''},
       title text NOT NULL,
       body text NOT NULL,
       status text NOT NULL DEFAULT 'open',
       priority integer NOT NULL DEFAULT 0,
       assignee text,
       done boolean NOT NULL DEFAULT false,
       due_at timestamptz,
       created_at timestamptz NOT NULL DEFAULT now(),
       updated_at timestamptz NOT NULL DEFAULT now()
     )`,
    `INSERT INTO ${table} SELECT * FROM source`,
    `CREATE INDEX ON ${table} (tenant_id, created_at DESC)`,
    `GRANT USAGE ON SCHEMA ${schema} TO ${APP_ROLE}, ${ADMIN_ROLE}`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO ${APP_ROLE}, ${ADMIN_ROLE}`,
  ];
  if (tenant && setting !== SEALED_SETTING) {
    const predicate = `tenant_id = ${tenant}`;
    statements.push(
      `ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`,
      `ALTER TABLE ${table} FORCE ROW LEVEL SECURITY`,
      `CREATE POLICY task_tenant_isolation_policy ON ${table} USING (${predicate}) WITH CHECK (${predicate})`,
      `CREATE POLICY task_admin_policy ON ${table} TO ${ADMIN_ROLE} USING (true) WITH CHECK (true)`,
    );
  }
  return statements.join(';\n');
}

import {
  concurrentIndex,
  ConcurrentMigration,
  protectedPartition,
  protectJoinTable,
  protectTable,
  RlsMigration,
  runSql,
  type RlsOperation,
} from '../../libs/rls-tenants/src/migrations/index.js';
import type { TenantScopedTable } from '../../libs/rls-tenants/src/entities/tenant-tables.js';
import { declared } from './audit-support.js';

// A schema as an application has it after some years: 60 tables and partitions, made by the library's own operations
// where there are any.

export interface SchemaRoles {
  readonly appRole: string;
  readonly adminRole: string;
}

/** Tables of the domain, each with the one it belongs to. */
const DOMAIN: readonly (readonly [table: string, parent?: string])[] = [
  ['team'],
  ['member', 'team'],
  ['customer'],
  ['contact', 'customer'],
  ['address', 'customer'],
  ['project', 'customer'],
  ['milestone', 'project'],
  ['task', 'milestone'],
  ['comment', 'task'],
  ['attachment', 'comment'],
  ['time_entry', 'task'],
  ['label'],
  ['board', 'project'],
  ['board_column', 'board'],
  ['product'],
  ['product_variant', 'product'],
  ['price_list'],
  ['price', 'price_list'],
  ['stock_item', 'product_variant'],
  ['warehouse'],
  ['shelf', 'warehouse'],
  ['sales_order', 'customer'],
  ['order_line', 'sales_order'],
  ['shipment', 'sales_order'],
  ['invoice', 'sales_order'],
  ['invoice_line', 'invoice'],
  ['payment', 'invoice'],
  ['refund', 'payment'],
  ['subscription', 'customer'],
  ['ticket', 'customer'],
  ['ticket_message', 'ticket'],
  ['webhook'],
  ['webhook_delivery', 'webhook'],
  ['api_key', 'member'],
  ['setting'],
  ['Report'],
];

/** Links with a tenant column of their own. */
const JOIN_TABLES = [
  ['task', 'label'],
  ['team', 'project'],
  ['product', 'label'],
  ['ticket', 'member'],
  ['board', 'member'],
] as const;

const GLOBAL = ['country', 'currency', 'plan', 'feature', 'locale', 'holiday', 'unit'];
/** Their policies are those of the partitioned tables. */
const PARTITIONED = {
  event: { by: 'RANGE (created_at)', key: '(tenant_id, id, created_at)' },
  reading: { by: 'HASH (tenant_id)', key: '(tenant_id, id)' },
};

const LINK_SIDES = ['contact', 'shipment'].map((table) => ({
  table,
  columns: [{ column: `${table}_id`, referencedColumn: 'id' }],
}));

/** What the entities of the application would declare. */
export function tenantTables({ adminRole }: SchemaRoles): TenantScopedTable[] {
  const own = (table: string, rest = {}) => declared(table, { entityName: table, adminRole, ...rest });
  return [
    ...DOMAIN.map(([table]) => own(table)),
    ...Object.keys(PARTITIONED).map((table) => own(table)),
    ...JOIN_TABLES.map((sides) => own(sides.join('_'), { kind: 'join-table' })),
    own('contact_shipment', { kind: 'join-table', sides: LINK_SIDES }),
  ];
}

const TENANT = `"tenant_id" uuid NOT NULL DEFAULT (NULLIF(current_setting('rls.current_tenant', true), ''))::uuid`;
const TO_WORKSPACE = 'FOREIGN KEY ("tenant_id") REFERENCES "workspace" ("id") ON DELETE CASCADE';

class Steps extends RlsMigration {
  constructor(readonly operations: readonly RlsOperation[]) {
    super();
  }
}

class Indexes extends ConcurrentMigration {
  constructor(readonly operations: readonly RlsOperation[]) {
    super();
  }
}

/** The migrations, in order. */
export function cleanSchema(roles: SchemaRoles, hasSecurityInvoker: boolean): RlsMigration[] {
  const settings = { tenantIdType: 'uuid', ...roles } as const;
  return [
    new Steps(globals(roles)),
    new Steps(
      DOMAIN.flatMap(([table, parent]) => [domainTable(table, parent), protectTable({ table, ...settings })]),
    ),
    new Steps(JOIN_TABLES.flatMap(([first, second]) => joinTable(first, second, settings))),
    new Steps(existsJoinTable(settings)),
    new Steps(partitions(settings)),
    new Indexes(
      DOMAIN.flatMap(([table, parent]) => (parent === undefined ? [] : [childIndex(table, parent)])),
    ),
    new Steps([...functions(roles), ...views(hasSecurityInvoker)]),
  ];
}

function globals({ appRole }: SchemaRoles): RlsOperation[] {
  const tables = ['workspace', ...GLOBAL];
  return [
    runSql(`CREATE TYPE "state" AS ENUM ('open', 'closed')`, 'DROP TYPE "state"'),
    runSql(`CREATE DOMAIN "email" AS text CHECK (VALUE LIKE '%@%')`, 'DROP DOMAIN "email"'),
    ...tables.map((table) =>
      runSql(
        `CREATE TABLE "${table}" ("id" uuid PRIMARY KEY DEFAULT gen_random_uuid(), "name" text NOT NULL)`,
        `DROP TABLE "${table}"`,
      ),
    ),
    // Requests read what is everybody's, and no more.
    ...tables.map((table) =>
      runSql(
        `REVOKE INSERT, UPDATE, DELETE ON "${table}" FROM "${appRole}"`,
        `GRANT INSERT, UPDATE, DELETE ON "${table}" TO "${appRole}"`,
      ),
    ),
  ];
}

function domainTable(table: string, parent?: string): RlsOperation {
  const reference =
    parent === undefined
      ? ''
      : `, "${parent}_id" uuid NOT NULL,
        FOREIGN KEY ("tenant_id", "${parent}_id") REFERENCES "${parent}" ("tenant_id", "id") ON DELETE CASCADE`;
  return runSql(
    `CREATE TABLE "${table}" (
      "id" uuid PRIMARY KEY DEFAULT gen_random_uuid(), ${TENANT}, "name" text NOT NULL, "state" "state" NOT NULL DEFAULT 'open',
      "amount" numeric(12, 2) CHECK ("amount" >= 0), "tags" text[] NOT NULL DEFAULT '{}', "data" jsonb,
      "mail" "email", "created_at" timestamptz NOT NULL DEFAULT now(),
      UNIQUE ("tenant_id", "id"), UNIQUE ("tenant_id", "name"), ${TO_WORKSPACE}${reference})`,
    `DROP TABLE "${table}"`,
  );
}

type Settings = SchemaRoles & { readonly tenantIdType: 'uuid' };

function joinTable(first: string, second: string, settings: Settings): RlsOperation[] {
  const name = `${first}_${second}`;
  const key = (side: string) =>
    `FOREIGN KEY ("tenant_id", "${side}_id") REFERENCES "${side}" ("tenant_id", "id") ON DELETE CASCADE`;
  return [
    runSql(
      `CREATE TABLE "${name}" ("${first}_id" uuid NOT NULL, "${second}_id" uuid NOT NULL, ${TENANT},
        PRIMARY KEY ("tenant_id", "${first}_id", "${second}_id"), ${key(first)}, ${key(second)})`,
      `DROP TABLE "${name}"`,
    ),
    protectJoinTable({ joinTable: name, form: 'existing-column', ...settings }),
  ];
}

/** A link whose shape cannot change. */
function existsJoinTable(settings: Settings): RlsOperation[] {
  return [
    runSql(
      `CREATE TABLE "contact_shipment" (
        "contact_id" uuid NOT NULL REFERENCES "contact" ("id") ON DELETE CASCADE,
        "shipment_id" uuid NOT NULL REFERENCES "shipment" ("id") ON DELETE CASCADE, PRIMARY KEY ("contact_id", "shipment_id"))`,
      `DROP TABLE "contact_shipment"`,
    ),
    protectJoinTable({ joinTable: 'contact_shipment', form: 'exists', sides: LINK_SIDES, ...settings }),
  ];
}

function partitions(settings: Settings): RlsOperation[] {
  const created = Object.entries(PARTITIONED).flatMap(([table, { by, key }]) => [
    runSql(
      `CREATE TABLE "${table}" ("id" uuid NOT NULL DEFAULT gen_random_uuid(), ${TENANT}, "name" text NOT NULL,
        "created_at" timestamptz NOT NULL DEFAULT now(), PRIMARY KEY ${key}, ${TO_WORKSPACE}) PARTITION BY ${by}`,
      `DROP TABLE "${table}"`,
    ),
    protectTable({ table, ...settings }),
  ]);
  const years = [2024, 2025, 2026, 2027].map((year) =>
    protectedPartition({
      parent: 'event',
      name: `event_${year}`,
      bound: { from: [`${year}-01-01`], to: [`${year + 1}-01-01`] },
      ...settings,
    }),
  );
  const hashes = [0, 1, 2, 3].map((remainder) =>
    protectedPartition({
      parent: 'reading',
      name: `reading_${remainder}`,
      bound: { modulus: 4, remainder },
      ...settings,
    }),
  );
  return [...created, ...years, ...hashes];
}

function childIndex(table: string, parent: string): RlsOperation {
  return concurrentIndex({
    table,
    name: `${table}_${parent}_idx`,
    columns: ['tenant_id', `${parent}_id`, 'created_at'],
  });
}

/** A trigger, a helper of the application and a report. All run as their caller. */
function functions({ appRole }: SchemaRoles): RlsOperation[] {
  return [
    runSql(
      `CREATE FUNCTION "clean_name"() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := trim(NEW.name); RETURN NEW; END $$`,
      'DROP FUNCTION "clean_name"()',
    ),
    ...['customer', 'product', 'event'].map((table) =>
      runSql(
        `CREATE TRIGGER "clean_name" BEFORE INSERT ON "${table}" FOR EACH ROW EXECUTE FUNCTION "clean_name"()`,
        `DROP TRIGGER "clean_name" ON "${table}"`,
      ),
    ),
    runSql(
      `CREATE FUNCTION "open_tasks"("project" uuid) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
         AS $$ SELECT count(*) FROM task JOIN milestone ON milestone.id = task.milestone_id
               WHERE milestone.project_id = "project" AND task.state = 'open' $$`,
      'DROP FUNCTION "open_tasks"(uuid)',
    ),
    runSql(
      `CREATE FUNCTION "plan_count"() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
         SET search_path = pg_catalog, public, pg_temp AS 'SELECT count(*) FROM plan'`,
      'DROP FUNCTION "plan_count"()',
    ),
    runSql(
      `REVOKE EXECUTE ON FUNCTION "plan_count"() FROM PUBLIC; GRANT EXECUTE ON FUNCTION "plan_count"() TO "${appRole}"`,
      `GRANT EXECUTE ON FUNCTION "plan_count"() TO PUBLIC`,
    ),
  ];
}

export const VIEWS = ['open_task', 'customer_revenue', 'recent_event'];

/** Views read as whoever reads them, since PostgreSQL 15; before, the spec gives them an owner whom policies hold. */
function views(hasSecurityInvoker: boolean): RlsOperation[] {
  const options = hasSecurityInvoker ? ' WITH (security_invoker = true)' : '';
  const view = (name: string, query: string) =>
    runSql(`CREATE VIEW "${name}"${options} AS ${query}`, `DROP VIEW "${name}"`);
  return [
    view('open_task', `SELECT tenant_id, id, name FROM task WHERE state = 'open'`),
    view(
      'customer_revenue',
      `SELECT customer.tenant_id, customer.id, sum(sales_order.amount) AS amount
         FROM customer LEFT JOIN sales_order ON sales_order.customer_id = customer.id GROUP BY 1, 2`,
    ),
    view('recent_event', `SELECT tenant_id, id, name FROM event WHERE created_at > '2025-06-01'`),
    runSql(
      `CREATE MATERIALIZED VIEW "country_names" AS SELECT lower(name) AS name FROM country`,
      'DROP MATERIALIZED VIEW "country_names"',
    ),
  ];
}

/** One row of each table for a tenant, as a superuser writes them. */
export function rowsOf(tenantId: string, table: string): string {
  const parent = DOMAIN.find(([name]) => name === table)?.[1];
  const columns = parent === undefined ? '' : `, "${parent}_id"`;
  const values = parent === undefined ? '' : `, (SELECT id FROM "${parent}" WHERE tenant_id = '${tenantId}')`;
  return `INSERT INTO "${table}" (tenant_id, name${columns}) VALUES ('${tenantId}', 'x'${values})`;
}

/** The tables that {@link rowsOf} fills, parents first. */
export const FILLED: readonly string[] = [...DOMAIN.map(([table]) => table), ...Object.keys(PARTITIONED)];

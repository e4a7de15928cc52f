import pg from 'pg';
import {
  auditTables,
  type AuditOptions,
  type AuditReport,
  type CatalogQuery,
  type Finding,
} from '../../libs/rls-tenants/src/audit/index.js';
import type { TenantScopedTable } from '../../libs/rls-tenants/src/entities/tenant-tables.js';
import {
  protectExistsJoinTableSql,
  protectJoinTableSql,
  protectTableSql,
} from '../../libs/rls-tenants/src/policies/index.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

export const A = '00000000-0000-4000-8000-00000000000a';
export const B = '00000000-0000-4000-8000-00000000000b';

/** A declared table, as `tenantTablesOf()` would give it. */
export function declared(table: string, rest: Partial<TenantScopedTable> = {}): TenantScopedTable {
  return {
    table,
    tenantIdType: 'uuid',
    tenantColumn: 'tenant_id',
    tenantSetting: 'rls.current_tenant',
    kind: 'entity',
    entityName: 'Note',
    ...rest,
  };
}

/** What the library's own migration would run to protect the table. */
export function protectSql(table: TenantScopedTable, adminRole: string): string {
  const options = { ...table, adminRole };
  const statements =
    table.kind === 'entity'
      ? protectTableSql(options)
      : table.sides
        ? protectExistsJoinTableSql({ ...options, joinTable: table.table, sides: table.sides })
        : protectJoinTableSql(options);
  return `${statements.join(';\n')};`;
}

/** A database with a protected table `note` that holds one row of tenant A and one of tenant B. */
export interface NoteDatabase extends TestDatabase {
  readonly note: TenantScopedTable;
  /** Audits the given tables only, as a start does, as `role` (the app role by default). */
  audit(
    tables?: readonly TenantScopedTable[],
    options?: AuditOptions,
    role?: 'app' | 'migrator' | 'superuser',
  ): Promise<AuditReport>;
  /** The ids of the findings, with their severity: `RLS004 critical`. */
  findings(tables?: readonly TenantScopedTable[], options?: AuditOptions): Promise<string[]>;
  /** What one rule finds in the whole database, as the app role; `note` is declared unless `tables` says otherwise. */
  findingsOf(
    ruleId: string,
    tables?: readonly TenantScopedTable[],
    options?: AuditOptions,
  ): Promise<readonly Finding[]>;
  /** The bodies that the app role sees as tenant A. */
  seenByA(): Promise<string[]>;
  /** Runs SQL as the app role for tenant A. */
  asTenantA<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]>;
}

export const NOTE_COLUMNS = 'id int PRIMARY KEY, tenant_id uuid NOT NULL, body text NOT NULL';

export async function createNoteDatabase(): Promise<NoteDatabase> {
  const db = await createTestDatabase();
  const note = declared('note');
  await db.as('migrator', `CREATE TABLE note (${NOTE_COLUMNS})`);
  await db.as('migrator', protectSql(note, db.roles.admin));
  await db.as(
    'migrator',
    `GRANT SELECT, INSERT, UPDATE, DELETE ON note TO ${db.roles.app}, ${db.roles.admin}`,
  );
  await db.asSuperuser(`INSERT INTO note VALUES (1, '${A}', 'a'), (2, '${B}', 'b')`);

  const run = (
    tables: readonly TenantScopedTable[],
    options: Parameters<typeof auditTables>[2],
    role: Parameters<NoteDatabase['audit']>[2] = 'app',
  ) =>
    withQuery(db.url(role), (query) => auditTables(query, tables, { adminRole: db.roles.admin, ...options }));
  const audit: NoteDatabase['audit'] = (tables = [note], options = {}, role = 'app') =>
    run(tables, { scope: 'declared', ...options }, role);
  return {
    ...db,
    note,
    audit,
    findings: async (tables, options) =>
      (await audit(tables, options)).findings.map(({ ruleId, severity }) => `${ruleId} ${severity}`),
    findingsOf: async (ruleId, tables = [note], options = {}) => {
      const report = await run(tables, { rules: [ruleId], ...options });
      if (report.rules.length !== 1) throw new Error(`Skipped: ${JSON.stringify(report.skipped)}`);
      return report.findings;
    },
    seenByA: async () => {
      const rows = await db.as<{ body: string }>('app', `${asA} SELECT body FROM note ORDER BY id`);
      return rows.map(({ body }) => body);
    },
    asTenantA: (sql) => db.as('app', `${asA} ${sql}`),
  };
}

const asA = `SET rls.current_tenant = '${A}';`;

/** A plain pg connection as the audit takes it. */
export async function withQuery<T>(
  connectionString: string,
  work: (query: CatalogQuery) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return await work(async (sql, parameters) => (await client.query(sql, parameters)).rows);
  } finally {
    await client.end();
  }
}

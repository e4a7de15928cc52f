import type { DataSource, QueryRunner, Table } from 'typeorm';
import { tenantTablesOf } from '../entities/index.js';
import { quoteTable } from '../policies/index.js';
import type { MigrationFile } from './migration.js';
import { tablesOfCalls } from './record-calls.js';

/** What a table is in the database. Tables are written as the rules write them: `note`, `billing.note`. */
export interface TableFacts {
  readonly table: string;
  readonly hasTenantColumn: boolean;
  readonly partitioned: boolean;
  readonly partitionOf: string | null;
}

/** What a database says of the tables that the migrations change. */
export interface DatabaseFacts {
  /** Every table but the system's. */
  readonly tables: readonly TableFacts[];
  /** The tables that the entities of the data source declare as tenant-scoped. */
  readonly tenantTables: readonly string[];
  /** Names of the migrations that have run. */
  readonly applied: ReadonlySet<string>;
  /** As TypeORM loads them: those that calls of the query runner name in migrations that have not run. */
  readonly loaded: readonly Table[];
}

/**
 * Asks the database once, in a transaction that can only read and is rolled back. The queries are the same few however
 * many migrations there are.
 *
 * @param dataSource initialized.
 */
export async function readDatabaseFacts(
  dataSource: DataSource,
  tenantColumn: string,
  files: readonly MigrationFile[],
): Promise<DatabaseFacts> {
  const queryRunner = dataSource.createQueryRunner();
  try {
    await queryRunner.startTransaction();
    await queryRunner.query('SET TRANSACTION READ ONLY');
    const tables = (await queryRunner.query(TABLES_SQL, [tenantColumn])) as TableFacts[];
    const applied = await appliedMigrations(dataSource, queryRunner);
    const pending = files.flatMap(({ migrations }) => migrations).filter(({ name }) => !applied.has(name));
    const named = [...new Set(pending.flatMap(tablesOfCalls))];
    const loaded = named.length === 0 ? [] : await queryRunner.getTables(named);
    const tenantTables = tenantTablesOf(dataSource).map(({ table }) => table);
    return { tables, tenantTables, applied, loaded };
  } finally {
    if (queryRunner.isTransactionActive) await queryRunner.rollbackTransaction();
    await queryRunner.release();
  }
}

async function appliedMigrations(
  { options, driver: { schema } }: DataSource,
  queryRunner: QueryRunner,
): Promise<ReadonlySet<string>> {
  const { migrationsTableName = 'migrations' } = options;
  const table = quoteTable(schema === undefined ? migrationsTableName : `${schema}.${migrationsTableName}`);
  const [found] = (await queryRunner.query('SELECT to_regclass($1) IS NOT NULL AS "exists"', [table])) as {
    exists: boolean;
  }[];
  if (found?.exists !== true) return new Set();
  const rows = (await queryRunner.query(`SELECT name FROM ${table}`)) as { name: string }[];
  return new Set(rows.map(({ name }) => name));
}

/** $1 the tenant column. */
const TABLES_SQL = `
  SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname AS "table",
         c.relkind = 'p' AS "partitioned",
         EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                  WHERE a.attrelid = c.oid AND a.attname = $1 AND NOT a.attisdropped) AS "hasTenantColumn",
         (SELECT CASE pn.nspname WHEN 'public' THEN '' ELSE pn.nspname || '.' END || p.relname
            FROM pg_catalog.pg_inherits AS i
            JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
            JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
           WHERE i.inhrelid = c.oid AND c.relispartition) AS "partitionOf"
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   ORDER BY 1`;

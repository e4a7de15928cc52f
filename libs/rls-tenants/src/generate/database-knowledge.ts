import type { DataSource } from 'typeorm';
import { withoutTenant } from '../context/tenant-context.js';
import { tenantTablesOf } from '../entities/index.js';
import { MigrationRunner } from '../migrations/runner/migration-runner.js';
import { readLiveTables } from './schema-facts.js';
import type { SplitOptions } from './split-file.js';

/** What a database tells of a migration that is to be split. */
export interface DatabaseKnowledge extends SplitOptions {
  /** The names of the migrations that are applied. */
  readonly applied: ReadonlySet<string>;
}

/**
 * Reads an initialized data source for which tables are partitioned, which hold tenants' rows (by its entities, or
 * because row-level security is on), how TypeORM names indexes, and what is applied. It changes nothing.
 */
export async function databaseKnowledge(dataSource: DataSource): Promise<DatabaseKnowledge> {
  const live = await withoutTenant(() => readLiveTables((sql) => dataSource.query(sql)));
  const status = await withoutTenant(() => new MigrationRunner(dataSource).status());
  const scoped = new Set(tenantTablesOf(dataSource).map(({ table }) => live.resolve(table)));
  return {
    applied: new Set(status.filter(({ state }) => state !== 'pending').map(({ name }) => name)),
    isPartitioned: (table) => live.find(table)?.partitioned === true,
    isTenantTable: (table) => scoped.has(live.resolve(table)) || live.find(table)?.rlsEnabled === true,
    isGeneratedIndex: ({ name, table, columns }) => {
      const names = columns.filter((column) => column !== undefined);
      if (table === undefined || names.length !== columns.length) return false;
      return dataSource.namingStrategy.indexName(table, names) === name;
    },
  };
}

import type { CatalogQuery } from '../audit/catalog.js';
import type { TenantScopedTable } from '../entities/index.js';
import { parseTableName } from '../policies/index.js';
import type { SchemaFacts } from './step.js';

/** A table of the database, and what of row-level security it has. */
export interface LiveTable {
  readonly schema: string;
  readonly name: string;
  readonly partitioned: boolean;
  readonly isPartition: boolean;
  readonly rlsEnabled: boolean;
  readonly policies: readonly string[];
}

/** The tables of the database as they are, with their names as the session of the migration role resolves them. */
export interface LiveTables {
  readonly tables: readonly LiveTable[];
  /** The table of a name in TypeORM's notation; undefined if there is none. */
  find(path: string): LiveTable | undefined;
  /** `schema.table`: the same text for the same table, whether it exists or not. */
  resolve(path: string): string;
}

const TABLES_SQL = `
  SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind = 'p' AS partitioned,
         c.relispartition AS "isPartition", c.relrowsecurity AS "rlsEnabled",
         ARRAY(SELECT polname::text FROM pg_catalog.pg_policy WHERE polrelid = c.oid ORDER BY 1) AS policies
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   ORDER BY 1, 2`;

/** Reads the names of all tables. */
export async function readLiveTables(query: CatalogQuery): Promise<LiveTables> {
  const tables = (await query(TABLES_SQL)) as LiveTable[];
  const [{ path }] = (await query('SELECT pg_catalog.current_schemas(false)::pg_catalog.text[] AS path')) as [
    { path: string[] },
  ];
  const at = (schema: string, name: string) =>
    tables.find((table) => table.schema === schema && table.name === name);
  const find = (table: string) => {
    const { schema, name } = parseTableName(table);
    const schemas = schema === undefined ? path : [schema];
    return schemas.map((one) => at(one, name)).find((found) => found !== undefined);
  };
  const resolve = (table: string) => {
    const { schema, name } = parseTableName(table);
    return `${schema ?? find(table)?.schema ?? path[0] ?? 'public'}.${name}`;
  };
  return { tables, find, resolve };
}

/** What the splitter asks, answered by the database and the entities. */
export function schemaFacts(
  live: Pick<LiveTables, 'find' | 'resolve'>,
  tenantTables: readonly TenantScopedTable[],
): SchemaFacts {
  const scoped = new Set(tenantTables.map(({ table }) => live.resolve(table)));
  return {
    exists: (table) => live.find(table) !== undefined,
    isPartitioned: (table) => live.find(table)?.partitioned === true,
    isTenantTable: (table) => scoped.has(live.resolve(table)),
  };
}

import type { TenantIdType } from '../context/tenant-id.js';
import type { TenantScopedTable } from '../entities/tenant-tables.js';
import { RlsConfigurationError } from '../errors.js';
import { DEFAULT_TENANT_COLUMN, tablePath } from '../policies/index.js';
import type { CatalogTable, FullCatalog } from './catalog.js';
import type { CatalogRelation } from './database-catalog.js';
import { parseExpression } from './policy-expression.js';
import { COLUMN_TYPES, isTable } from './rule.js';
import { TenantReads } from './tenant-reads.js';

/** What a tenant table looks like that no entity declares. */
export interface TenantTableMarks {
  /** Default `tenant_id`. */
  readonly tenantColumn?: string | undefined;
  /** Settings that hold the tenant. */
  readonly tenantSettings: readonly string[];
  /** Tables that are tenant tables whatever they look like, as `table` or `schema.table`. */
  readonly listed: readonly string[];
}

/**
 * The tenant tables of the scope that are not declared: listed, with a policy that reads the tenant setting, or with a
 * tenant column by name, which is the usual name and those of declared tables and of such policies. Partitions, children
 * and what belongs to an extension count for the table above them.
 *
 * @throws RlsConfigurationError if a listed table does not exist.
 */
export function recogniseTenantTables(
  catalog: FullCatalog,
  declared: readonly TenantScopedTable[],
  marks: TenantTableMarks,
): { table: TenantScopedTable; live: CatalogRelation; listed: boolean }[] {
  const known = new Set<CatalogTable | undefined>(declared.map(({ table }) => catalog.table(table)));
  const listed = new Set(marks.listed.map((path) => listedTable(catalog, path)));
  const columns = tenantColumnsOf(catalog, declared, marks);
  const byOid = new Map(catalog.database.relations.map((relation) => [relation.oid, relation]));
  const isTenants = (live: CatalogRelation) => known.has(live) || listed.has(live) || columns.has(live);
  // A parent may be a template of common columns, and no tenant table.
  const isBelowOne = (live: CatalogRelation): boolean =>
    live.parents.some((oid) => {
      const parent = byOid.get(oid);
      return parent !== undefined && (isTenants(parent) || isBelowOne(parent));
    });
  const found = catalog.database.relations.flatMap((live) => {
    if (known.has(live) || !isTable(live)) return [];
    const column = columns.get(live);
    const recognised = column !== undefined && live.extension === null && !isBelowOne(live);
    return recognised || listed.has(live) ? [{ live, column: column ?? defaultColumn(marks) }] : [];
  });
  const commonType = declared[0]?.tenantIdType ?? mostCommon(found.map(typeOf)) ?? 'uuid';
  return found.map(({ live, column }) => ({
    live,
    listed: listed.has(live),
    table: {
      table: tablePath(live),
      tenantIdType: declared.length > 0 ? commonType : (typeOf({ live, column }) ?? commonType),
      tenantColumn: column,
      tenantSetting: marks.tenantSettings[0]!,
      kind: 'entity',
      entityName: live.name,
    },
  }));
}

function listedTable(catalog: FullCatalog, path: string): CatalogTable {
  const table = catalog.table(path);
  if (table && isTable(table)) return table;
  throw new RlsConfigurationError(
    `There is no table ${JSON.stringify(path)} to audit.`,
    'List existing tables, with their schema unless the search path finds them.',
  );
}

/** The tenant column by table, of those that have one or whose policies read the tenant. */
function tenantColumnsOf(
  catalog: FullCatalog,
  declared: readonly TenantScopedTable[],
  marks: TenantTableMarks,
): Map<CatalogTable, string> {
  const tables = catalog.database.relations.filter(isTable);
  const reads = new TenantReads(catalog.database.functions, marks.tenantSettings);
  const compared = new Map(tables.map((live) => [live, comparedColumn(live, reads, marks)]));
  // Where it is a key, as in a table of tenants, other tables' columns of that name are no tenants.
  const keys = new Set(
    catalog.database.indexes
      .filter(({ unique, keys: [first, ...more] }) => unique && first!.column !== null && more.length === 0)
      .map(({ table, keys: [first] }) => `${table}/${first!.column}`),
  );
  const isKey = (live: CatalogRelation, column: string) => keys.has(`${live.oid}/${column}`);
  const byPolicies = [...compared].flatMap(([live, column]) =>
    column === undefined || isKey(live, column) ? [] : [column],
  );
  const byEntities = declared
    .filter(({ table, tenantColumn }) => {
      const live = catalog.table(table) as CatalogRelation | undefined;
      return live && !isKey(live, tenantColumn);
    })
    .map(({ tenantColumn }) => tenantColumn);
  const names = [...new Set([defaultColumn(marks), ...byEntities, ...byPolicies])];
  return new Map(
    tables.flatMap((live): [CatalogTable, string][] => {
      const [usual, ...others] = names;
      const column = live.columns.has(usual!)
        ? usual
        : (compared.get(live) ?? others.find((name) => live.columns.has(name)));
      return column === undefined ? [] : [[live, column]];
    }),
  );
}

/** What its policies compare with the tenant; the default name where they only read it, as in a sub-select. */
function comparedColumn(live: CatalogTable, reads: TenantReads, marks: TenantTableMarks): string | undefined {
  const expressions = live.policies
    .flatMap(({ using, withCheck }) => [using, withCheck])
    .flatMap((text) => (text === null ? [] : parseExpression(text, live.name)))
    .filter((expression) => reads.readsTenant(expression));
  if (expressions.length === 0) return undefined;
  const compared = expressions
    .flatMap(({ comparisons }) => comparisons)
    .find((comparison) => reads.readsTenant(comparison));
  return compared?.column ?? defaultColumn(marks);
}

function defaultColumn({ tenantColumn = DEFAULT_TENANT_COLUMN }: TenantTableMarks): string {
  return tenantColumn;
}

function typeOf({ live, column }: { live: CatalogTable; column: string }): TenantIdType | undefined {
  const type = live.columns.get(column)?.type;
  const names = Object.keys(COLUMN_TYPES) as TenantIdType[];
  return type === undefined ? undefined : names.find((name) => COLUMN_TYPES[name].includes(type));
}

function mostCommon<Value>(values: readonly (Value | undefined)[]): Value | undefined {
  const counts = new Map<Value, number>();
  for (const value of values) if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0];
}

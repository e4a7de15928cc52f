import type { TenantIdType } from '../context/tenant-id.js';
import type { TenantScopedTable } from '../entities/tenant-tables.js';
import { RlsConfigurationError } from '../errors.js';
import { DEFAULT_TENANT_COLUMN } from '../policies/index.js';
import type { CatalogTable, FullCatalog } from './catalog.js';
import type { CatalogRelation } from './database-catalog.js';
import { parseExpression } from './policy-expression.js';
import { COLUMN_TYPES, isTable } from './rule.js';

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
 * The tenant tables of the scope that are not declared: listed, with a tenant column by name, or with a policy that
 * reads the tenant setting. Partitions, children and what belongs to an extension count for the table above them.
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
  const found = catalog.database.relations.flatMap((live) => {
    if (known.has(live) || !isTable(live)) return [];
    const column = tenantColumnOf(live, marks);
    const recognised = column !== undefined && live.parents.length === 0 && live.extension === null;
    return recognised || listed.has(live) ? [{ live, column: column ?? defaultColumn(marks) }] : [];
  });
  const commonType = declared[0]?.tenantIdType ?? mostCommon(found.map(typeOf)) ?? 'uuid';
  return found.map(({ live, column }) => ({
    live,
    listed: listed.has(live),
    table: {
      table: `${live.schema}.${live.name}`,
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

/** The tenant column; the default name where only a sub-select of a policy reads the setting. */
function tenantColumnOf(live: CatalogTable, marks: TenantTableMarks): string | undefined {
  if (live.columns.has(defaultColumn(marks))) return defaultColumn(marks);
  for (const { using, withCheck } of live.policies) {
    for (const text of [using, withCheck]) {
      if (text === null || !mentions(text, marks)) continue;
      const { comparisons } = parseExpression(text, live.name);
      const compared = comparisons.find(({ settings }) => settings.some(({ name }) => isOneOf(name, marks)));
      return compared?.column ?? defaultColumn(marks);
    }
  }
  return undefined;
}

function mentions(text: string, { tenantSettings }: TenantTableMarks): boolean {
  const lower = text.toLowerCase();
  return tenantSettings.some((setting) => lower.includes(`'${setting.toLowerCase()}'`));
}

function isOneOf(name: string | undefined, { tenantSettings }: TenantTableMarks): boolean {
  return tenantSettings.some((setting) => setting.toLowerCase() === name?.toLowerCase());
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

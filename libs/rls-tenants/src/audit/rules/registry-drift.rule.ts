import type { Catalog } from '../catalog.js';
import { DEFAULT_TENANT_COLUMN } from '../../policies/index.js';
import { defineRule, isTable, nothingDeclared, type AuditedTable } from '../rule.js';

/** RLS082: what the entities declare and what the database has are not the same tables. */
export const registryDrift = defineRule({
  id: 'RLS082',
  title: 'registry-drift',
  severity: 'error',
  reason:
    'What is declared tenant-scoped and is not in the database as a table was not checked, and protects nothing. A tenant table that no entity declares is one that the application cannot watch over.',
  skip: (_catalog, context) => nothingDeclared(context),
  *find(catalog, context) {
    for (const table of context.tables) {
      if (table.recognised) {
        if (isKnown(table)) continue;
        yield {
          // Its own protection is judged by every other rule.
          severity: 'warning',
          object: `table "${table.path}"`,
          message:
            'It looks like a tenant table, and no entity declares it: its policies are compared with nothing, and statements outside of any tenant context are not refused.',
          fix: 'Mark its entity @TenantScoped(), list it as a tenant table of another application, or drop it.',
        };
        continue;
      }
      if (!table.live || !isTable(table.live)) {
        yield {
          object: `table "${table.path}"`,
          message: table.live
            ? `${capitalized(table)} is ${RELATION_KINDS[table.live.kind] ?? 'no table'}: row-level security protects tables only.`
            : `${capitalized(table)} does not exist, or the search path does not find it.`,
          fix: table.live
            ? 'Mark the entities of the tables below it @TenantScoped(), not this one.'
            : RUN_MIGRATIONS,
        };
        continue;
      }
      for (const { object, column } of missingColumns(table, catalog)) {
        yield {
          object,
          message: `Column "${column}", through which ${describe(table)} is protected, does not exist.`,
          fix: RUN_MIGRATIONS,
        };
      }
    }
  },
});

/** Tables of the library's own operations, which need no entity. A test compares the names with theirs. */
const OWN_TABLES = ['rls_backfill_progress', 'rls_consolidated_key'];

function isKnown({ listed, live }: AuditedTable): boolean {
  return listed === true || OWN_TABLES.includes(live!.name);
}

const RUN_MIGRATIONS =
  'Run the pending migrations, or correct the entity (table name, schema, @TenantColumn()).';

const RELATION_KINDS: Readonly<Record<string, string>> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  i: 'an index',
  S: 'a sequence',
};

function describe({ declared: { kind, entityName } }: AuditedTable): string {
  return kind === 'entity'
    ? `the table of the entity ${entityName}`
    : `the join table of the entity ${entityName}`;
}

function capitalized(table: AuditedTable): string {
  return describe(table).replace(/^t/, 'T');
}

function* missingColumns(
  { declared, live, path }: AuditedTable,
  catalog: Catalog,
): Iterable<{ object: string; column: string }> {
  const absent = (columns: ReadonlyMap<string, unknown> | undefined, column: string) =>
    columns !== undefined && !columns.has(column);
  if (!declared.sides) {
    if (absent(live?.columns, declared.tenantColumn))
      yield { object: `table "${path}"`, column: declared.tenantColumn };
    return;
  }
  for (const side of declared.sides) {
    const referenced = catalog.table(side.table)?.columns;
    const wanted = [
      side.tenantColumn ?? DEFAULT_TENANT_COLUMN,
      ...side.columns.map(({ referencedColumn }) => referencedColumn),
    ];
    for (const { column } of side.columns)
      if (absent(live?.columns, column)) yield { object: `table "${path}"`, column };
    for (const column of wanted)
      if (absent(referenced, column)) yield { object: `table "${side.table}"`, column };
  }
}

import type { Catalog } from '../audit/catalog.js';
import { asSealed } from '../audit/seal.js';
import type { TenantScopedTable } from '../entities/index.js';

/**
 * The tables with the form that their policies have in the database, or are to get there. A table that nobody protected
 * yet gets the sealed form where the seal is installed; unless others are protected, and none of them has moved to it:
 * then applications may not seal yet.
 */
export function inTheirForms(
  tables: readonly TenantScopedTable[],
  catalog: Pick<Catalog, 'seals' | 'table'>,
): TenantScopedTable[] {
  const forms = tables.map((table) => {
    const live = catalog.table(table.table);
    return { table: asSealed(table, live, catalog), isProtected: (live?.policies.length ?? 0) > 0 };
  });
  return forms.map(({ table, isProtected }, index) => {
    if (isProtected || !table.sealed) return table;
    const others = forms.filter(
      (other) => other.isProtected && other.table.tenantSetting === table.tenantSetting,
    );
    return others.length === 0 || others.some((other) => other.table.sealed) ? table : tables[index]!;
  });
}

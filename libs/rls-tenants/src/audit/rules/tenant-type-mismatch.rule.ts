import type { TenantIdType } from '../../context/tenant-id.js';
import type { CatalogColumn } from '../catalog.js';
import { changeColumnType } from '../fix-sql.js';
import { COLUMN_TYPES, defineRule, existingTables } from '../rule.js';

/** RLS044: a tenant column of another type fails statements, or is compared through a cast no index serves. */
export const tenantTypeMismatch = defineRule({
  id: 'RLS044',
  title: 'tenant-type-mismatch',
  severity: 'error',
  reason:
    'One application has one type of tenant id; another type fails statements or compares through a cast.',
  *find(_catalog, context) {
    for (const { declared, live, path } of existingTables(context)) {
      const column = declared.sides ? undefined : live.columns.get(declared.tenantColumn);
      if (!column) continue;
      const message = mismatch(column, declared.tenantIdType);
      if (message === undefined) continue;
      yield {
        object: `column "${declared.tenantColumn}" of table "${path}"`,
        message,
        fix: changeColumnType(path, declared.tenantColumn, declared.tenantIdType),
      };
    }
  },
});

function mismatch({ type, deterministic }: CatalogColumn, tenantIdType: TenantIdType): string | undefined {
  if (!COLUMN_TYPES[tenantIdType].includes(type)) {
    return `The tenant column is ${type}, but tenant ids are ${tenantIdType}.`;
  }
  return deterministic ? undefined : "The tenant column's collation takes different tenant ids for equal.";
}

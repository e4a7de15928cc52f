import type { TenantIdType } from '../../context/tenant-id.js';
import type { CatalogColumn } from '../catalog.js';
import { changeColumnType } from '../fix-sql.js';
import { COLUMN_TYPES, defineRule, existingTables, type RuleContext } from '../rule.js';

/** RLS044: a tenant column of another type fails statements, or is compared through a cast no index serves. */
export const tenantTypeMismatch = defineRule({
  id: 'RLS044',
  title: 'tenant-type-mismatch',
  severity: 'error',
  reason:
    'One application has one type of tenant id; another type fails statements or compares through a cast.',
  *find(_catalog, context) {
    const known = isTypeKnown(context);
    for (const { declared, live, path } of existingTables(context)) {
      const column = declared.sides ? undefined : live.columns.get(declared.tenantColumn);
      if (!column) continue;
      const message = mismatch(column, known ? declared.tenantIdType : undefined);
      if (message === undefined) continue;
      yield {
        object: `column "${declared.tenantColumn}" of table "${path}"`,
        message,
        fix: changeColumnType(path, declared.tenantColumn, declared.tenantIdType),
      };
    }
  },
});

/** An entity says it, or the column of some table has a type that tenant ids can have. */
function isTypeKnown(context: RuleContext): boolean {
  const types = Object.values(COLUMN_TYPES).flat();
  return existingTables(context).some(
    ({ recognised, declared, live }) =>
      !recognised || types.includes(live.columns.get(declared.tenantColumn)?.type ?? ''),
  );
}

function mismatch(
  { type, deterministic }: CatalogColumn,
  tenantIdType: TenantIdType | undefined,
): string | undefined {
  if (tenantIdType !== undefined && !COLUMN_TYPES[tenantIdType].includes(type)) {
    return `The tenant column is ${type}, but tenant ids are ${tenantIdType}.`;
  }
  return deterministic ? undefined : "The tenant column's collation takes different tenant ids for equal.";
}

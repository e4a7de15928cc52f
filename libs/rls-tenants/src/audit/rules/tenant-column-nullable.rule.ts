import { setNotNull } from '../fix-sql.js';
import { defineRule, existingTables } from '../rule.js';

/** RLS043: a row without a tenant belongs to nobody, and a composite foreign key with a NULL in it checks nothing. */
export const tenantColumnNullable = defineRule({
  id: 'RLS043',
  title: 'tenant-column-nullable',
  severity: 'error',
  reason:
    'Rows without a tenant are orphans, and composite foreign keys skip the check where the tenant is NULL.',
  *find(_catalog, context) {
    for (const { declared, live, path } of existingTables(context)) {
      if (declared.sides || live.columns.get(declared.tenantColumn)?.notNull !== false) continue;
      yield {
        object: `column "${declared.tenantColumn}" of table "${path}"`,
        message: 'The tenant column may be NULL.',
        fix: setNotNull(path, declared.tenantColumn),
      };
    }
  },
});

import { createdTables } from '../context.js';
import { changes, defineRule } from '../rule.js';

/** MIG058: Under FORCE an owner that no policy admits changes no row and gets no error; one that is admitted changes all tenants' rows in one transaction, under row locks until its end. */
export const backfillUnscoped = defineRule({
  id: 'MIG058',
  title: 'backfill-unscoped',
  severity: 'error',
  reason:
    "Under FORCE an owner that no policy admits changes no row and gets no error; one that is admitted changes all tenants' rows in one transaction, under row locks until its end.",
  *find(migration, context) {
    const created = createdTables(migration);
    for (const { statement, change } of changes(migration, 'up', 'write')) {
      const { table, verb } = change;
      if (!context.isTenantTable(table) || created.has(table) || statement.allRows) continue;
      yield {
        at: statement,
        message: `${verb} of the tenant table "${table}" without a tenant: either no rows at all, or every tenant's at once.`,
        fix: `Backfill tenant by tenant, in batches. Where few rows are concerned:\nawait withAllRows(queryRunner, ['${table}'], async () => {\n  await queryRunner.query(\`${statement.sql}\`);\n});`,
      };
    }
  },
});

import { type LintContext, createdTables } from '../context.js';
import type { Migration, Statement } from '../migration.js';
import { defineRule } from '../rule.js';
import { settingBefore } from '../session.js';

/** MIG015: Under FORCE a migration role that no policy admits reads no row and gets no error: with row_security = off it gets one (SQLSTATE 42501). */
export const rowSecurityNotOff = defineRule({
  id: 'MIG015',
  title: 'row-security-not-off',
  severity: 'warning',
  reason:
    'Under FORCE a migration role that no policy admits reads no row and gets no error: with row_security = off it gets one (SQLSTATE 42501).',
  *find(migration, context) {
    const created = createdTables(migration);
    for (const statement of migration.statements) {
      if (statement.direction !== 'up' || statement.allRows) continue;
      const table = statement.changes
        .flatMap((change) =>
          change.kind === 'read' ? change.tables : change.kind === 'write' ? change.reads : [],
        )
        .find((one) => context.isTenantTable(one) && !created.has(one));
      if (table === undefined || !hidesRows(migration, context, statement)) continue;
      yield {
        at: statement,
        message: `This reads the tenant table "${table}" with row security on: what the policies hide is missing from the result.`,
        fix: `await withAllRows(queryRunner, ['${table}'], async () => {\n  await queryRunner.query(\`${statement.sql}\`);\n});`,
      };
      return;
    }
  },
});

/** Not where the statement is meant for one tenant's rows. */
function hidesRows(
  migration: Migration,
  { sessionSettings, tenantSetting }: LintContext,
  statement: Statement,
): boolean {
  const value = settingBefore(migration, 'row_security', statement);
  const off = value === undefined ? sessionSettings.has('row_security') : /^(?:off|false|no|0)$/i.test(value);
  return !off && settingBefore(migration, tenantSetting, statement) === undefined;
}

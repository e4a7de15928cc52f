import type { CatalogSetting } from '../catalog.js';
import { resetSetting } from '../fix-sql.js';
import { defineRule } from '../rule.js';

/** RLS011: with a default for the tenant setting, a connection without a tenant acts as that tenant. */
export const defaultTenantContext = defineRule({
  id: 'RLS011',
  title: 'default-tenant-context',
  severity: 'critical',
  reason: 'Every statement that forgot its tenant reads and writes the rows of the default one.',
  *find({ settings }) {
    const stored = settings.filter(({ source }) => source === 'database-role');
    for (const setting of stored) {
      yield {
        object: `setting "${setting.setting}"`,
        message: `${owner(setting)} sets it to ${JSON.stringify(setting.value)}: statements without a tenant act as that tenant.`,
        fix: resetSetting(setting),
      };
    }
    for (const { setting, value, source } of settings) {
      if (source !== 'connection' || stored.some((other) => other.setting === setting)) continue;
      yield {
        object: `setting "${setting}"`,
        message: `A fresh connection has it set to ${JSON.stringify(value)}: statements without a tenant act as that tenant.`,
        fix: `Remove ${setting} from postgresql.conf, PGOPTIONS and the data source's \`extra.options\`, and SET it nowhere.`,
      };
    }
  },
});

function owner({ role, database }: CatalogSetting): string {
  const subject =
    role === null ? (database === null ? 'ALTER ROLE ALL' : `Database "${database}"`) : `Role "${role}"`;
  return role !== null && database !== null ? `${subject} in database "${database}"` : subject;
}

import type { CatalogGrant } from '../catalog.js';
import { revokePrivilege } from '../fix-sql.js';
import type { Severity } from '../finding.js';
import { defineRule, existingTables } from '../rule.js';

const POWERS: Readonly<Record<string, { severity: Severity; power: string }>> = {
  TRUNCATE: { severity: 'critical', power: 'TRUNCATE ignores policies and deletes the rows of every tenant' },
  TRIGGER: {
    severity: 'critical',
    power: 'a trigger it attaches runs as whoever writes next, an exempt role included',
  },
  REFERENCES: {
    severity: 'error',
    power: 'a foreign key it makes tells whether a row of another tenant exists',
  },
  // PostgreSQL 17.
  MAINTAIN: {
    severity: 'warning',
    power:
      'ANALYZE, VACUUM and CLUSTER tell how many rows all tenants have, and rewrite the table while they wait',
  },
};

/** RLS026: some privileges reach rows without passing a policy. */
export const privilegesOutsideRls = defineRule({
  id: 'RLS026',
  title: 'privileges-outside-rls',
  severity: 'critical',
  reason:
    'TRUNCATE, TRIGGER, REFERENCES and MAINTAIN reach the rows of other tenants without passing a policy.',
  *find({ appRole }, context) {
    // A superuser has every privilege whatever is granted; RLS001 says so.
    if (appRole.superuser) return;
    for (const { live, path } of existingTables(context)) {
      for (const grant of live.grants) {
        const power = POWERS[grant.privilege];
        if (!power) continue;
        yield {
          severity: power.severity,
          object: `table "${path}"`,
          message: `The app role "${appRole.name}" has ${grant.privilege}${from(grant, appRole.name)}: ${power.power}.`,
          fix: revokePrivilege(path, grant),
        };
      }
    }
  },
});

function from({ grantee, column }: CatalogGrant, appRole: string): string {
  const on = column === null ? '' : ` on column "${column}"`;
  if (grantee === appRole) return on;
  return grantee === null ? `${on} through PUBLIC` : `${on} through role "${grantee}"`;
}

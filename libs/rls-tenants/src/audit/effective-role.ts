import type { CatalogPolicy } from './catalog.js';
import type { DatabaseAudit } from './database-audit.js';
import type { CatalogRelation } from './database-catalog.js';
import { isTable } from './rule.js';

// Views, rules and SECURITY DEFINER functions act as somebody else: what does that role see?

/**
 * Why whatever runs as `role` sees rows of every tenant of the table; undefined where policies hold it to one tenant.
 * DatabaseAudit.escapesRls() asks whether policies count; this asks what they let through as well: an owner that
 * inherits the admin role escapes nothing, and sees everything.
 */
export function seesEveryTenant(
  audit: DatabaseAudit,
  role: string,
  table: CatalogRelation,
): string | undefined {
  if (!isTable(table)) return undefined;
  if (audit.roles.isExempt(role)) return `"${role}" is a superuser or has BYPASSRLS`;
  if (!table.rlsEnabled) return 'the table has no row-level security';
  if (audit.escapesRls(role, table))
    return `"${role}" has the rights of its owner, on whom RLS is not forced`;
  const open = openPolicy(audit, role, table);
  return open && `the policy "${open.name}" admits "${role}"`;
}

/** A policy that shows the role more than one tenant's rows, and does not hold for the app role. */
export function openPolicy(
  audit: DatabaseAudit,
  role: string,
  table: CatalogRelation,
): CatalogPolicy | undefined {
  const reading = table.policies.filter(
    ({ command, roles }) =>
      (command === 'ALL' || command === 'SELECT') &&
      roles.some((named) => named === 'public' || audit.roles.hasPrivilegesOf(role, named)),
  );
  if (reading.some((policy) => !policy.permissive && isHeld(audit, table, policy))) return undefined;
  // What holds for the app role as well is judged where the app role's policies are.
  return reading.find(
    (policy) => policy.permissive && !policy.appliesToAppRole && !isHeld(audit, table, policy),
  );
}

/** The first tenant table of which the role sees every row, in words; undefined if there is none. */
export function someOpenTable(audit: DatabaseAudit, role: string): string | undefined {
  for (const relation of audit.protectedRelations) {
    const why = seesEveryTenant(audit, role, relation);
    if (why !== undefined) return `it sees every row of "${audit.nameOf(relation)}" (${why})`;
  }
  return undefined;
}

/** A join table without a tenant column is held by whatever its policy asks of the tables beside it. */
function isHeld(audit: DatabaseAudit, table: CatalogRelation, { using }: CatalogPolicy): boolean {
  if (using === null) return true;
  const expression = audit.expression(using, table);
  if (expression.unreadable !== undefined) return false;
  const column = audit.tenantColumnOf(table);
  return column === undefined ? expression.constant !== true : audit.holdsToTenant(expression, column);
}

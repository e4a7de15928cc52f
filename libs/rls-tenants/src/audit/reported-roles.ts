import type { Catalog, CatalogRole } from './catalog.js';
import type { CatalogMembership } from './database-catalog.js';
import type { DatabaseAudit } from './database-audit.js';

/** A role that has to do with the audited tables. */
export interface ReportedRole extends Pick<
  CatalogRole,
  'name' | 'superuser' | 'bypassRls' | 'createRole' | 'login'
> {
  /** It is the role that was audited. */
  readonly audited: boolean;
  /** Its policies see the rows of all tenants. */
  readonly admin: boolean;
  /** How many tenant tables, partitions included, it owns. */
  readonly ownedTables: number;
}

/** Who may become whom, as far as the audited tables are concerned. Empty where only declared tables were read. */
export interface ReportedRoles {
  /** By name. */
  readonly roles: readonly ReportedRole[];
  /** Between those roles, at most one for two roles. */
  readonly memberships: readonly CatalogMembership[];
}

/**
 * The audited role, the admin roles, the owners of tenant tables and the roles that no policy applies to; everything
 * that is a member of one of these, and everything that the audited role is a member of.
 */
export function reportRoles(catalog: Catalog, audit: DatabaseAudit | undefined): ReportedRoles {
  if (!audit) return { roles: [], memberships: [] };
  const owned = new Map<string, number>();
  for (const { owner } of audit.protectedRelations) owned.set(owner, (owned.get(owner) ?? 0) + 1);
  const roles = [...catalog.roles.values()];
  const principals = roles.filter(
    ({ name, superuser, bypassRls }) =>
      superuser ||
      bypassRls ||
      name === catalog.appRole.name ||
      audit.adminRoles.includes(name) ||
      owned.has(name),
  );
  const memberships = merged(audit.database.memberships);
  const shown = new Set([
    ...membersOf(
      principals.map(({ name }) => name),
      memberships,
    ),
    ...rolesOf(catalog.appRole.name, memberships),
  ]);
  return {
    roles: roles
      .filter(({ name }) => shown.has(name))
      .map(({ name, superuser, bypassRls, createRole, login }) => ({
        name,
        superuser,
        bypassRls,
        createRole,
        login,
        audited: name === catalog.appRole.name,
        admin: audit.adminRoles.includes(name),
        ownedTables: owned.get(name) ?? 0,
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    memberships: memberships.filter(({ role, member }) => shown.has(role) && shown.has(member)),
  };
}

/** Since PostgreSQL 16 each grantor's grant is a row of its own; what any of them gives counts. */
function merged(memberships: readonly CatalogMembership[]): CatalogMembership[] {
  const byPair = new Map<string, CatalogMembership>();
  for (const { role, member, admin, inherit, set } of memberships) {
    const key = `${role}\0${member}`;
    const known = byPair.get(key);
    byPair.set(key, {
      role,
      member,
      admin: admin || known?.admin === true,
      inherit: inherit || known?.inherit === true,
      set: set || known?.set === true,
    });
  }
  return [...byPair.values()];
}

/** The roles, their members, the members of those, and so on. */
function membersOf(roles: readonly string[], memberships: readonly CatalogMembership[]): Set<string> {
  const members = new Map<string, string[]>();
  for (const { role, member } of memberships) members.set(role, [...(members.get(role) ?? []), member]);
  return closure(roles, members);
}

/** The role, what it is a member of, and so on. */
function rolesOf(member: string, memberships: readonly CatalogMembership[]): Set<string> {
  const roles = new Map<string, string[]>();
  for (const one of memberships) roles.set(one.member, [...(roles.get(one.member) ?? []), one.role]);
  return closure([member], roles);
}

function closure(start: readonly string[], next: ReadonlyMap<string, readonly string[]>): Set<string> {
  const seen = new Set(start);
  for (const name of seen) for (const other of next.get(name) ?? []) seen.add(other);
  return seen;
}

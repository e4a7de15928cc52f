import type { CatalogRole, CatalogServer } from './catalog.js';
import type { CatalogMembership } from './database-catalog.js';

/** Who has whose privileges, and who may become whom: `pg_has_role` for any two roles, from one snapshot. */
export class RoleGraph {
  private readonly memberships = new Map<string, CatalogMembership[]>();

  constructor(
    private readonly roles: ReadonlyMap<string, CatalogRole>,
    memberships: readonly CatalogMembership[],
    { databaseOwner }: CatalogServer,
  ) {
    // pg_database_owner has one member, which pg_auth_members does not list.
    const implicit = {
      role: 'pg_database_owner',
      member: databaseOwner,
      admin: false,
      inherit: true,
      set: true,
    };
    for (const membership of [...memberships, implicit]) {
      const known = this.memberships.get(membership.member);
      if (known) known.push(membership);
      else this.memberships.set(membership.member, [membership]);
    }
  }

  /** `pg_has_role(role, other, 'USAGE')`: it has the other's privileges without asking. A superuser has everybody's. */
  hasPrivilegesOf(role: string, other: string): boolean {
    return this.isSuperuser(role) || this.reachable(role, ({ inherit }) => inherit).has(other);
  }

  /** `pg_has_role(role, other, 'SET')`: it may `SET ROLE` to the other, in one step or after another. */
  maySetRole(role: string, other: string): boolean {
    return this.isSuperuser(role) || this.reachable(role, ({ set }) => set).has(other);
  }

  /** Policies are not applied to the role at all: it is a superuser or has BYPASSRLS. Attributes are never inherited. */
  isExempt(role: string): boolean {
    return this.isSuperuser(role) || this.roles.get(role)?.bypassRls === true;
  }

  private isSuperuser(role: string): boolean {
    return this.roles.get(role)?.superuser === true;
  }

  private reachable(role: string, follows: (membership: CatalogMembership) => boolean): Set<string> {
    const seen = new Set([role]);
    for (const current of seen)
      for (const membership of this.memberships.get(current) ?? [])
        if (follows(membership)) seen.add(membership.role);
    return seen;
  }
}

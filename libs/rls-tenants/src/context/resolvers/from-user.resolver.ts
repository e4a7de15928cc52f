import type { ResolvedTenantId, TenantResolver } from '../tenant-context.options.js';

/**
 * Takes the tenant from the authenticated user, `request.user`, as Passport and most guards set it. A request without
 * a user has no tenant. The user is verified, so `authorize` may be left out.
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the user's type is the caller's to state
export function fromUser<User>(select: (user: User) => ResolvedTenantId): TenantResolver {
  return (request) => {
    const user: User | null | undefined = request.user;
    return user === undefined || user === null ? undefined : select(user);
  };
}

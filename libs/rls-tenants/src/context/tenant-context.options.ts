import type { TenantId, TenantIdType } from './tenant-id.js';

/** Injection token of the module's options. */
export const RLS_TENANTS_OPTIONS = Symbol('nestjs-rls-tenants: options');

/** What a request gives its tenant from: the platform's own request object (Express or Fastify). */
// oxlint-disable-next-line typescript/no-explicit-any -- the shape belongs to the platform and to its middleware
export type TenantRequest = any;

/** What a resolver may find: an id, or nothing, which is never an id and never the admin. */
export type ResolvedTenantId = TenantId | null | undefined;

/** Finds the tenant that a request is for. */
export interface TenantResolver {
  (request: TenantRequest): ResolvedTenantId | Promise<ResolvedTenantId>;
  /**
   * True if the caller can choose the answer freely (a header, the host name, the path), so that `authorize` must
   * confirm it. The library's resolvers state it; a function of your own counts as verified.
   */
  readonly clientSupplied?: boolean;
}

/** What the context half of the library needs to know. */
export interface TenantContextOptions {
  /** The PostgreSQL type of tenant ids. */
  tenantIdType: TenantIdType;
  /** Finds the tenant of a request: `fromUser`, `fromHeader`, `fromSubdomain`, `fromPath`, `firstOf`, or your own. */
  resolveTenant: TenantResolver;
  /** Confirms that the caller may act for the tenant. Mandatory when the caller chooses the tenant. */
  authorize?: (tenantId: string, request: TenantRequest) => boolean | Promise<boolean>;
  /**
   * What happens where a tenant is needed and there is none. `'throw'`: a request without a tenant is refused, and so
   * is a statement that names a tenant-scoped table. `'empty'`: both go on and see no rows. Default `'throw'`.
   */
  onMissingTenant?: 'throw' | 'empty';
}

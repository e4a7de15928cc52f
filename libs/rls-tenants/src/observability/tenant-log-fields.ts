import { currentTenantContext } from '../context/tenant-context.js';

/** What {@link tenantLogFields} says. A type and no interface, so that it fits where any attributes do. */
// oxlint-disable-next-line typescript/consistent-type-definitions -- an interface has no index signature
export type TenantLogFields = {
  /** For whom: `tenant`, `admin` or `nobody`. */
  'rls.context': string;
  /** The tenant's id, in the context of a tenant. */
  'rls.tenant'?: string;
  /** The reason of an admin context. */
  'rls.reason'?: string;
};

/**
 * Whom the current call chain acts for, as fields of a log record and as attributes of an OpenTelemetry span. For a
 * logger's hook that is called with each record, in the context of whoever logs:
 *
 * ```ts
 * pino({ mixin: () => tenantLogFields() })
 * ```
 */
export function tenantLogFields(): TenantLogFields {
  const state = currentTenantContext();
  const fields: TenantLogFields = { 'rls.context': state.kind };
  if (state.kind === 'tenant') fields['rls.tenant'] = state.tenantId;
  if (state.kind === 'admin') fields['rls.reason'] = state.reason;
  return fields;
}

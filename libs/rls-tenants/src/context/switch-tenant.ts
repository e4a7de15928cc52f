import { channel } from 'node:diagnostics_channel';
import { Logger } from '@nestjs/common';
import { RlsConfigurationError } from '../errors.js';
import { authorizedTenant } from './resolve-request.js';
import type { TenantContextOptions, TenantRequest } from './tenant-context.options.js';
import {
  currentTenantContext,
  tenantContext,
  withoutTenant,
  type TenantContextState,
} from './tenant-context.js';
import { parseTenantId, type TenantId } from './tenant-id.js';

const logger = new Logger('RlsTenants');
const switches = channel('rls-tenants:tenant-switch');

/**
 * A caller went from one tenant to another, or was refused it: what is logged, and what the diagnostics channel
 * `rls-tenants:tenant-switch` publishes.
 */
export interface TenantSwitch {
  readonly event: 'tenant switch';
  /** Whom the call chain acted for: a tenant's id, `admin` with its reason, or `nobody`. */
  readonly from: TenantContextState;
  /** The tenant that was asked for. */
  readonly to: string;
  /** Whether `authorize` confirmed it. */
  readonly allowed: boolean;
}

/** What `TenantContext.switchTo()` does; every switch passes through here. */
export async function switchTenant<T>(
  options: TenantContextOptions,
  tenantId: TenantId,
  request: TenantRequest,
  fn: () => T | Promise<T>,
): Promise<T> {
  const to = parseTenantId(options.tenantIdType, tenantId);
  const { authorize } = options;
  if (typeof authorize !== 'function') {
    throw new RlsConfigurationError(
      'switchTo() has nobody to ask whether the caller may act for the tenant.',
      'Add `authorize: (tenantId, request) => boolean` to the options of RlsTenantsModule.',
    );
  }
  if (typeof request !== 'object' || request === null) {
    throw new RlsConfigurationError(
      'switchTo() got no request to authorize.',
      'Pass on the request of the handler (`@Req()`, or `req` of the GraphQL context); where there is none, decide yourself and call run(tenantId, fn).',
    );
  }
  const from = currentTenantContext();
  try {
    await withoutTenant(() => authorizedTenant(authorize, to, request));
  } catch (error) {
    recordSwitch({ event: 'tenant switch', from, to, allowed: false });
    throw error;
  }
  recordSwitch({ event: 'tenant switch', from, to, allowed: true });
  return tenantContext(to, fn);
}

/** One structured line for each switch, in the caller's own asynchronous context: loggers add the request's id there. */
function recordSwitch(record: TenantSwitch): void {
  if (switches.hasSubscribers) switches.publish(record);
  if (record.allowed) logger.log(record);
  else logger.warn(record);
}

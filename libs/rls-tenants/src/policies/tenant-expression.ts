import { TENANT_ID_TYPES, type TenantIdType } from '../context/tenant-id.js';
import { RlsConfigurationError } from '../errors.js';
import { checkSettingName, DEFAULT_TENANT_SETTING, quoteIdentifier, quoteLiteral } from './identifiers.js';

/**
 * The SQL that yields the current tenant, with the type of the tenant columns: NULL where there is no tenant.
 *
 * NULLIF is mandatory: once a custom setting was used in a session it reads `''`, not NULL.
 * Test: "a custom setting reads '' after its first use".
 */
export function currentTenantSql(tenantIdType: TenantIdType, tenantSetting = DEFAULT_TENANT_SETTING): string {
  const text = `NULLIF(current_setting(${quoteLiteral(checkSettingName(tenantSetting))}, true), '')`;
  return tenantIdType === 'text' ? text : `(${text})::${checkTenantIdType(tenantIdType)}`;
}

/**
 * The policy's predicate: bare equality, which the planner turns into an index condition (no CASE, no OR).
 *
 * The setting stands there without a sub-select around it. The planner then reads it for its estimates and knows which
 * tenant it plans for; behind `(SELECT …)` it takes every tenant for an average one, and picks plans of joins that read
 * a thousand times too much (`docs/benchmarks.md`, "Policies"). As an index condition it is evaluated once a scan; where
 * it is a filter, once a row, for about a quarter of a microsecond.
 */
export function tenantPredicateSql(tenantColumn: string, currentTenant: string): string {
  return `${quoteIdentifier(tenantColumn)} = ${currentTenant}`;
}

/** Returns the type if it is one. @throws RlsConfigurationError otherwise. */
export function checkTenantIdType(tenantIdType: TenantIdType): TenantIdType {
  if (TENANT_ID_TYPES.includes(tenantIdType)) return tenantIdType;
  throw new RlsConfigurationError(
    `Unknown tenantIdType ${JSON.stringify(tenantIdType)}.`,
    `It is one of ${TENANT_ID_TYPES.join(', ')}.`,
  );
}

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

/** What a tenant may read beside its own rows. */
export interface ReadableTenants {
  /** Those that a set context carries. */
  readonly bySet: boolean;
  /** The tenant whose rows are everybody's, in PostgreSQL's text form. */
  readonly sharedTenant: string | undefined;
}

/**
 * The SQL that yields the tenants whose rows the current tenant may read, as an array: itself, what a set context carries,
 * and the tenant of shared rows. NULL where there is no current tenant, whatever else is carried: `||` is strict.
 *
 * `column = ANY (…)` of it is an index condition, and the planner reads it for its estimates. A list split by its
 * separator, because a text array's literal would need quoting by whoever writes the setting.
 */
export function readableTenantsSql(
  tenantIdType: TenantIdType,
  tenantSetting: string,
  { bySet, sharedTenant }: ReadableTenants,
): string {
  return tenantListSql(
    tenantIdType,
    [
      `NULLIF(current_setting(${quoteLiteral(checkSettingName(tenantSetting))}, true), '')`,
      ...(bySet
        ? [`COALESCE(current_setting(${quoteLiteral(readableSettingOf(tenantSetting))}, true), '')`]
        : []),
    ],
    sharedTenant,
  );
}

/** The array of what a carried list holds, whose parts are given as SQL, and of the tenant of shared rows. */
export function tenantListSql(
  tenantIdType: TenantIdType,
  carried: readonly string[],
  sharedTenant: string | undefined,
): string {
  const separator = separatorSql(tenantIdType);
  const parts = [...carried, ...(sharedTenant === undefined ? [] : [separator, quoteLiteral(sharedTenant)])];
  const list = `string_to_array(${parts.join(' || ')}, ${separator})`;
  return tenantIdType === 'text' ? list : `(${list})::${checkTenantIdType(tenantIdType)}[]`;
}

/** The setting that carries which other tenants a set context reads: `rls.readable_tenants`, beside the tenant setting. */
export function readableSettingOf(tenantSetting: string): string {
  return checkSettingName(tenantSetting.replace(/[^.]*$/, 'readable_tenants'));
}

/** The value of that setting: the ids, each behind a separator, to be put behind the current tenant's. */
export function readableSettingValue(tenantIdType: TenantIdType, tenantIds: readonly string[]): string {
  const separator = tenantIdType === 'text' ? TEXT_SEPARATOR : ',';
  return tenantIds.map((tenantId) => separator + tenantId).join('');
}

// A text id may hold any character that can be seen; parseTenantId() keeps this one out.
const TEXT_SEPARATOR = '\n';

function separatorSql(tenantIdType: TenantIdType): string {
  return tenantIdType === 'text' ? `chr(${TEXT_SEPARATOR.charCodeAt(0)})` : "','";
}

/** Returns the type if it is one. @throws RlsConfigurationError otherwise. */
export function checkTenantIdType(tenantIdType: TenantIdType): TenantIdType {
  if (TENANT_ID_TYPES.includes(tenantIdType)) return tenantIdType;
  throw new RlsConfigurationError(
    `Unknown tenantIdType ${JSON.stringify(tenantIdType)}.`,
    `It is one of ${TENANT_ID_TYPES.join(', ')}.`,
  );
}

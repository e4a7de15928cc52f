import { quoteLiteral } from './identifiers.js';
import { sealSettingOf } from './seal.js';
import { readableSettingOf } from './tenant-expression.js';

/**
 * The query that puts the tenant into the running transaction. `set_config(…, true)` is `SET LOCAL` as a query: it
 * takes a parameter, and the value is gone when the transaction ends.
 *
 * @param valueSql a parameter or a quoted literal; the empty string means nobody.
 * @param roleToo carry the role back to the login's own as well (`'none'`).
 * @param readable what else is read, see `readableSettingValue`; empty to take an earlier statement's back.
 */
export function carryTenantSql(
  tenantSetting: string,
  valueSql: string,
  roleToo: boolean,
  readable?: string,
): string {
  const role = roleToo ? `set_config('role', 'none', true), ` : '';
  return `SELECT ${role}set_config(${quoteLiteral(tenantSetting)}, ${valueSql}, true)${readableSql(tenantSetting, readable)}`;
}

/**
 * {@link carryTenantSql} with a seal: $1 is the tenant, $2 the seal. Both are parameters, because every session of the
 * role can read the text of its other sessions' statements in pg_stat_activity. Qualified, because a session may have
 * been left with another search path.
 */
export function carrySealedSql(tenantSetting: string, readable: string | undefined): string {
  const set = (name: string, valueSql: string) =>
    `pg_catalog.set_config(${quoteLiteral(name)}, ${valueSql}, true)`;
  return `SELECT ${[
    set(tenantSetting, '$1'),
    set(sealSettingOf(tenantSetting), '$2'),
    ...(readable === undefined ? [] : [set(readableSettingOf(tenantSetting), quoteLiteral(readable))]),
  ].join(', ')}`;
}

/** The query that makes the running transaction the admin's: no tenant, and the admin role (`SET LOCAL ROLE`). */
export function carryAdminSql(
  tenantSetting: string,
  adminRole: string,
  valueSql: string,
  readable?: string,
): string {
  return `SELECT set_config(${quoteLiteral(tenantSetting)}, ${valueSql}, true), set_config('role', ${quoteLiteral(adminRole)}, true)${readableSql(tenantSetting, readable)}`;
}

function readableSql(tenantSetting: string, readable: string | undefined): string {
  if (readable === undefined) return '';
  return `, set_config(${quoteLiteral(readableSettingOf(tenantSetting))}, ${quoteLiteral(readable)}, true)`;
}

import { parseTenantId, type TenantId, type TenantIdType } from '../context/tenant-id.js';
import {
  DEFAULT_ADMIN_ROLE,
  DEFAULT_TENANT_SETTING,
  objectName,
  parseTableName,
  quoteIdentifier,
  quoteLiteral,
  quoteRole,
  quoteTable,
} from './identifiers.js';
import { sealedReadablePredicateSql, sealedTenantPredicateSql } from './seal.js';
import { currentTenantSql, readableTenantsSql, tenantPredicateSql } from './tenant-expression.js';

export const DEFAULT_TENANT_COLUMN = 'tenant_id';

/** A table whose rows belong to tenants. The names are the database's own, in TypeORM's notation. */
export interface TenantTable {
  /** `note` or `billing.note`. */
  table: string;
  /** The PostgreSQL type of the tenant column. */
  tenantIdType: TenantIdType;
  /** Default `'tenant_id'`. */
  tenantColumn?: string;
  /** Default `'rls.current_tenant'`. */
  tenantSetting?: string;
  /** Default `'rls_admin'`. */
  adminRole?: string;
  /** A set context reads the rows of all its tenants, and writes those of one. Default: everybody reads their own rows. */
  readableBySet?: boolean;
  /** Whose rows every tenant reads; only an admin context writes them. */
  sharedTenant?: TenantId;
  /** Whether the policies take a tenant with a seal only: the database has `installSeal`. Default `false`. */
  sealed?: boolean;
}

/** The commands that a policy can be for, where it is not for all of them. */
export type PolicyCommand = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE';

/** A permissive policy, with one predicate for the rows seen and the rows written. */
export interface PolicyDefinition {
  readonly name: string;
  readonly predicate: string;
  /** Undefined: ALL. */
  readonly command?: PolicyCommand;
  /** Undefined: PUBLIC. */
  readonly role?: string;
}

/** Name of the policy that admits a tenant to its rows: `{table}_tenant_isolation_policy`. */
export function tenantPolicyName(table: string): string {
  return objectName(parseTableName(table).name, 'tenant_isolation_policy');
}

/** Name of the policy that admits the admin role to all rows: `{table}_admin_policy`. */
export function adminPolicyName(table: string): string {
  return objectName(parseTableName(table).name, 'admin_policy');
}

/** Name of the policy of a join table: `{join_table}_m2m_rls_policy`. */
export function joinTablePolicyName(joinTable: string): string {
  return objectName(parseTableName(joinTable).name, 'm2m_rls_policy');
}

/** The predicate of a tenant table's policy, for USING and WITH CHECK alike. */
export function tenantTablePredicate({
  tenantColumn = DEFAULT_TENANT_COLUMN,
  tenantIdType,
  tenantSetting,
  sealed = false,
}: TenantTable): string {
  return sealed
    ? sealedTenantPredicateSql(tenantColumn, tenantIdType, tenantSetting)
    : tenantPredicateSql(tenantColumn, currentTenantSql(tenantIdType, tenantSetting));
}

/** True where a tenant may read more than its own rows, so that the table has a policy for each command. */
export function readsMoreThanOwn({ readableBySet, sharedTenant }: TenantTable): boolean {
  return readableBySet === true || sharedTenant !== undefined;
}

/**
 * The policies that admit a tenant to its rows: one for all commands, or, where a tenant reads more than it writes, one
 * for each command. Not two that are joined by OR: an OR is no index condition. And none that restricts another, so that
 * one that is missing admits to less.
 *
 * @throws InvalidTenantIdError if the shared tenant is no tenant id of the type.
 */
export function tenantPolicies(
  table: TenantTable,
  policyName = tenantPolicyName(table.table),
): [PolicyDefinition, ...PolicyDefinition[]] {
  const predicate = tenantTablePredicate(table);
  if (!readsMoreThanOwn(table)) return [{ name: policyName, predicate }];
  const {
    tenantColumn = DEFAULT_TENANT_COLUMN,
    tenantIdType,
    tenantSetting = DEFAULT_TENANT_SETTING,
  } = table;
  const { readableBySet: bySet = false, sharedTenant, sealed = false } = table;
  const readable = {
    bySet,
    sharedTenant: sharedTenant === undefined ? undefined : parseTenantId(tenantIdType, sharedTenant),
  };
  const { name } = parseTableName(table.table);
  return [
    {
      name: policyName,
      command: 'SELECT',
      predicate: sealed
        ? sealedReadablePredicateSql(tenantColumn, tenantIdType, tenantSetting, readable)
        : `${quoteIdentifier(tenantColumn)} = ANY (${readableTenantsSql(tenantIdType, tenantSetting, readable)})`,
    },
    { name: objectName(name, 'tenant_insert_policy'), command: 'INSERT', predicate },
    { name: objectName(name, 'tenant_update_policy'), command: 'UPDATE', predicate },
    { name: objectName(name, 'tenant_delete_policy'), command: 'DELETE', predicate },
  ];
}

/** ENABLE and FORCE: without FORCE the table's owner sees every row. */
export function enableRlsSql(table: string): string[] {
  return [
    `ALTER TABLE ${quoteTable(table)} ENABLE ROW LEVEL SECURITY`,
    `ALTER TABLE ${quoteTable(table)} FORCE ROW LEVEL SECURITY`,
  ];
}

/** The inverse of {@link enableRlsSql}. */
export function disableRlsSql(table: string): string[] {
  return [
    `ALTER TABLE ${quoteTable(table)} NO FORCE ROW LEVEL SECURITY`,
    `ALTER TABLE ${quoteTable(table)} DISABLE ROW LEVEL SECURITY`,
  ];
}

/** A policy, for every command unless one is named, with one predicate for the rows seen and the rows written. */
export function createPolicySql(
  table: string,
  policyName: string,
  predicate: string,
  role?: string,
  command?: PolicyCommand,
): string {
  const on = command === undefined ? '' : ` FOR ${command}`;
  const to = role === undefined ? '' : ` TO ${quoteRole(role)}`;
  return `CREATE POLICY ${quoteIdentifier(policyName)} ON ${quoteTable(table)}${on}${to}${predicateSql(predicate, command)}`;
}

/** The predicate where the command has one: for the rows that are seen, and for those that are written. */
function predicateSql(predicate: string, command: PolicyCommand | undefined): string {
  const using = command === 'INSERT' ? '' : ` USING (${predicate})`;
  const check = command === 'SELECT' || command === 'DELETE' ? '' : ` WITH CHECK (${predicate})`;
  return using + check;
}

/** Drops one policy of a table. */
export function dropPolicySql(table: string, policyName: string): string {
  return `DROP POLICY ${quoteIdentifier(policyName)} ON ${quoteTable(table)}`;
}

/** The admin policy: unconditional, for the admin role only, so that no setting decides who is admin. */
export function createAdminPolicySql(table: string, adminRole = DEFAULT_ADMIN_ROLE): string {
  return createPolicySql(table, adminPolicyName(table), 'true', adminRole);
}

/** Sets the comment on a policy. It goes with the policy. */
export function commentOnPolicySql(table: string, policyName: string, comment: string): string {
  return `COMMENT ON POLICY ${quoteIdentifier(policyName)} ON ${quoteTable(table)} IS ${quoteLiteral(comment)}`;
}

/** Gives a policy another predicate in one statement, so that the table is never without its policy. */
export function alterPolicySql(
  table: string,
  policyName: string,
  predicate: string,
  command?: PolicyCommand,
): string {
  return `ALTER POLICY ${quoteIdentifier(policyName)} ON ${quoteTable(table)}${predicateSql(predicate, command)}`;
}

/** ENABLE, FORCE, the policy that admits tenants by `predicate`, and the admin policy. */
export function protectSql(
  table: string,
  policyName: string,
  predicate: string,
  adminRole?: string,
): string[] {
  return protectByPoliciesSql(table, [{ name: policyName, predicate }], adminRole);
}

/** ENABLE, FORCE, the policies that admit tenants, and the admin policy. */
export function protectByPoliciesSql(
  table: string,
  policies: readonly PolicyDefinition[],
  adminRole?: string,
): string[] {
  return [
    ...enableRlsSql(table),
    ...policies.map(({ name, predicate, role, command }) =>
      createPolicySql(table, name, predicate, role, command),
    ),
    createAdminPolicySql(table, adminRole),
  ];
}

/** The inverse of {@link protectSql}, and of {@link protectByPoliciesSql}. */
export function unprotectSql(table: string, ...policyNames: readonly string[]): string[] {
  return [
    dropPolicySql(table, adminPolicyName(table)),
    ...policyNames.toReversed().map((name) => dropPolicySql(table, name)),
    ...disableRlsSql(table),
  ];
}

/** Everything that protects a table whose tenant column exists. */
export function protectTableSql(table: TenantTable): string[] {
  return protectByPoliciesSql(table.table, tenantPolicies(table), table.adminRole);
}

/** The inverse of {@link protectTableSql}. */
export function unprotectTableSql(
  table: Pick<TenantTable, 'table' | 'readableBySet' | 'sharedTenant'>,
): string[] {
  // The names do not depend on the type.
  const policies = tenantPolicies({ tenantIdType: 'text', ...table });
  return unprotectSql(table.table, ...policies.map(({ name }) => name));
}

import type { TenantIdType } from '../context/tenant-id.js';
import {
  DEFAULT_ADMIN_ROLE,
  objectName,
  parseTableName,
  quoteIdentifier,
  quoteLiteral,
  quoteRole,
  quoteTable,
} from './identifiers.js';
import { currentTenantSql, tenantPredicateSql } from './tenant-expression.js';

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
export function tenantTablePredicate(table: TenantTable): string {
  return tenantPredicateSql(
    table.tenantColumn ?? DEFAULT_TENANT_COLUMN,
    currentTenantSql(table.tenantIdType, table.tenantSetting),
  );
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

/** A policy for every command, with one predicate for the rows seen and the rows written. */
export function createPolicySql(table: string, policyName: string, predicate: string, role?: string): string {
  const to = role === undefined ? '' : ` TO ${quoteRole(role)}`;
  return `CREATE POLICY ${quoteIdentifier(policyName)} ON ${quoteTable(table)}${to} USING (${predicate}) WITH CHECK (${predicate})`;
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
export function alterPolicySql(table: string, policyName: string, predicate: string): string {
  return `ALTER POLICY ${quoteIdentifier(policyName)} ON ${quoteTable(table)} USING (${predicate}) WITH CHECK (${predicate})`;
}

/** ENABLE, FORCE, the policy that admits tenants by `predicate`, and the admin policy. */
export function protectSql(
  table: string,
  policyName: string,
  predicate: string,
  adminRole?: string,
): string[] {
  return [
    ...enableRlsSql(table),
    createPolicySql(table, policyName, predicate),
    createAdminPolicySql(table, adminRole),
  ];
}

/** The inverse of {@link protectSql}. */
export function unprotectSql(table: string, policyName: string): string[] {
  return [
    dropPolicySql(table, adminPolicyName(table)),
    dropPolicySql(table, policyName),
    ...disableRlsSql(table),
  ];
}

/** Everything that protects a table whose tenant column exists. */
export function protectTableSql(table: TenantTable): string[] {
  return protectSql(table.table, tenantPolicyName(table.table), tenantTablePredicate(table), table.adminRole);
}

/** The inverse of {@link protectTableSql}. */
export function unprotectTableSql({ table }: Pick<TenantTable, 'table'>): string[] {
  return unprotectSql(table, tenantPolicyName(table));
}

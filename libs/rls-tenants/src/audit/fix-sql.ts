import {
  checkSettingName,
  createPolicySql,
  dropPolicySql,
  enableRlsSql,
  quoteIdentifier,
  quoteRole,
  quoteTable,
} from '../policies/index.js';
import type { CatalogGrant, CatalogPolicy, CatalogSetting } from './catalog.js';
import type { ExpectedPolicy } from './expected-policies.js';

// The SQL that findings tell people to run. The audit itself runs none of it.

/** ENABLE and FORCE. */
export function enableRls(path: string): string {
  return script(enableRlsSql(path));
}

/** Makes a policy what it should be without a moment in which the table has none. */
export function replacePolicy(
  path: string,
  expected: ExpectedPolicy,
  exists: boolean,
  createRole: boolean,
): string {
  const create = createPolicySql(path, expected.name, expected.predicate, expected.role, expected.command);
  const role = createRole ? `-- The role does not exist: rls-tenants setup-roles makes it.\n` : '';
  return role + script(exists ? ['BEGIN', dropPolicySql(path, expected.name), create, 'COMMIT'] : [create]);
}

/** Drops one policy. */
export function dropPolicy(path: string, policyName: string): string {
  return script([dropPolicySql(path, policyName)]);
}

/**
 * Gives a policy another predicate, in the clauses that its command has. The table is never without its policy.
 *
 * @param table quoted.
 */
export function alterPolicy(table: string, { name, command }: CatalogPolicy, predicate: string): string {
  const using = command === 'INSERT' ? '' : ` USING (${predicate})`;
  const check = command === 'SELECT' || command === 'DELETE' ? '' : ` WITH CHECK (${predicate})`;
  return script([`ALTER POLICY ${quoteIdentifier(name)} ON ${table}${using}${check}`]);
}

/** Takes or gives a role attribute, such as NOBYPASSRLS. */
export function alterRole(role: string, attribute: string): string {
  return script([`ALTER ROLE ${quoteRole(role)} ${attribute}`]);
}

/** Ends a membership. */
export function revokeRole(role: string, member: string): string {
  return script([`REVOKE ${quoteRole(role)} FROM ${quoteRole(member)}`]);
}

/** Ends the right to grant a membership, and keeps the membership. */
export function revokeAdminOption(role: string, member: string): string {
  return script([`REVOKE ADMIN OPTION FOR ${quoteRole(role)} FROM ${quoteRole(member)}`]);
}

/** Keeps SET ROLE to `role` and ends its inheritance. Before PostgreSQL 16 only the member as a whole can do so. */
export function setRoleWithoutInheriting(role: string, member: string, versionNumber: number): string {
  if (versionNumber < 160000) return alterRole(member, 'NOINHERIT');
  return script([`GRANT ${quoteRole(role)} TO ${quoteRole(member)} WITH INHERIT FALSE, SET TRUE`]);
}

/** Gives an object to the migration role, whose name the audit does not know. */
export function changeOwner(kind: 'TABLE' | 'SCHEMA' | 'DATABASE', name: string): string {
  const object = kind === 'TABLE' ? quoteTable(name) : quoteIdentifier(name);
  return script([`ALTER ${kind} ${object} OWNER TO <migration role>`]);
}

/** Takes a privilege from the role it was granted to. */
export function revokePrivilege(path: string, { privilege, grantee, column }: CatalogGrant): string {
  const on = column === null ? privilege : `${privilege} (${quoteIdentifier(column)})`;
  return script([
    `REVOKE ${on} ON TABLE ${quoteTable(path)} FROM ${grantee === null ? 'PUBLIC' : quoteRole(grantee)}`,
  ]);
}

/** Removes a stored default of the tenant setting. */
export function resetSetting({ setting, role, database }: CatalogSetting): string {
  const name = checkSettingName(setting);
  if (role === null && database !== null)
    return script([`ALTER DATABASE ${quoteIdentifier(database)} RESET ${name}`]);
  const inDatabase = database === null ? '' : ` IN DATABASE ${quoteIdentifier(database)}`;
  return script([`ALTER ROLE ${role === null ? 'ALL' : quoteRole(role)}${inDatabase} RESET ${name}`]);
}

/** NOT NULL without a long lock: the scan happens under VALIDATE, and SET NOT NULL then finds it proven. */
export function setNotNull(path: string, column: string): string {
  const table = `ALTER TABLE ${quoteTable(path)}`;
  const name = quoteIdentifier(column);
  return `-- Give every row its tenant first.\n${script([
    `${table} ADD CONSTRAINT tenant_not_null CHECK (${name} IS NOT NULL) NOT VALID`,
    `${table} VALIDATE CONSTRAINT tenant_not_null`,
    `${table} ALTER COLUMN ${name} SET NOT NULL`,
    `${table} DROP CONSTRAINT tenant_not_null`,
  ])}`;
}

/** Another type for a tenant column. PostgreSQL refuses while a policy reads the column. */
export function changeColumnType(path: string, column: string, type: string): string {
  const name = quoteIdentifier(column);
  return `-- In one transaction: drop the table's policies, then this, then create them again.\n${script([
    `ALTER TABLE ${quoteTable(path)} ALTER COLUMN ${name} TYPE ${type} USING ${name}::text::${type}`,
  ])}`;
}

function script(statements: readonly string[]): string {
  return statements.map((statement) => `${statement};`).join('\n');
}

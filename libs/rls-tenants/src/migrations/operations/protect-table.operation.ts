import { tenantPolicies, type TenantTable } from '../../policies/index.js';
import { protect, unprotect, type Protection } from '../protection.js';
import { operation, type RlsOperation } from '../rls-operation.js';

/** A table to protect. State every setting that is not the default: a migration is history, and reads no configuration. */
export interface ProtectTableOptions extends TenantTable {
  /** The login that serves requests. */
  appRole: string;
}

/**
 * Protects a table whose tenant column exists: enables and forces row-level security, creates the tenant policy (one for
 * each command, if `readableBySet` or `sharedTenant` is given) and the admin policy, makes the tenant setting the tenant
 * column's default, and grants the app role and the admin role what they lack. `down` takes back what `up` added, and
 * nothing else. With `sealed` the policies ask for the seal from the start; `sealTable` is for tables that have plain ones.
 */
export function protectTable(options: ProtectTableOptions): RlsOperation {
  const protection = protectionOf(options);
  return operation(
    `protect table "${options.table}"`,
    (queryRunner) => protect(queryRunner, protection),
    (queryRunner) => unprotect(queryRunner, protection),
  );
}

/**
 * The reverse of {@link protectTable}: afterwards nothing keeps tenants apart in this table. State the settings that it
 * is protected with, for `down` restores them.
 */
export function unprotectTable(options: ProtectTableOptions): RlsOperation {
  const protection = protectionOf(options);
  return operation(
    `unprotect table "${options.table}"`,
    (queryRunner) => unprotect(queryRunner, protection),
    (queryRunner) => protect(queryRunner, protection),
  );
}

function protectionOf(options: ProtectTableOptions): Protection {
  return {
    table: options.table,
    policies: tenantPolicies(options),
    adminRole: options.adminRole,
    appRole: options.appRole,
    tenantColumn: options,
    sealed: options.sealed,
    tenantSetting: options.tenantSetting,
  };
}

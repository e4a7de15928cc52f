import {
  alterPolicySql,
  joinTablePolicyName,
  setTenantDefaultSql,
  tenantPolicyName,
  tenantTablePredicate,
  type TenantTable,
} from '../../policies/index.js';
import { operation, runAll, type RlsOperation } from '../rls-operation.js';

/** A tenant policy to change to another tenant setting. */
export interface AlterTenantPolicyOptions extends Omit<TenantTable, 'adminRole' | 'tenantSetting'> {
  /** The tenant setting that the policy reads. */
  from: string;
  /** The tenant setting that it shall read. */
  to: string;
  /** Whether the table is a join table with its own tenant column, whose policy has another name. Default `false`. */
  joinTable?: boolean;
}

/**
 * Makes the policy and the tenant column's default read another tenant setting, with ALTER POLICY: the table is never
 * without its policy. `down` makes them read the former one.
 */
export function alterTenantPolicy(options: AlterTenantPolicyOptions): RlsOperation {
  const policyName = (options.joinTable ? joinTablePolicyName : tenantPolicyName)(options.table);
  const alter = (tenantSetting: string) => {
    const table: TenantTable = { ...options, tenantSetting };
    return [alterPolicySql(table.table, policyName, tenantTablePredicate(table)), setTenantDefaultSql(table)];
  };
  return operation(
    `make the policy of table "${options.table}" read ${options.to}`,
    (queryRunner) => runAll(queryRunner, alter(options.to)),
    (queryRunner) => runAll(queryRunner, alter(options.from)),
  );
}

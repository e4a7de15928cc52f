import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../../errors.js';
import {
  alterPolicySql,
  DEFAULT_TENANT_COLUMN,
  joinTablePolicyName,
  renamePolicySql,
  restoreDefaultSql,
  restorePolicySql,
  setTenantDefaultSql,
  tenantPolicyName,
  tenantTablePredicate,
  type FormerPolicy,
  type TenantTable,
} from '../../policies/index.js';
import { defaultOf, policyOf } from '../catalog.js';
import { operation, runAll, type RlsOperation } from '../rls-operation.js';
import { checkNotSealed, checkSealUsable } from '../seal.js';

/** A tenant policy to change. */
export interface AlterTenantPolicyOptions extends Omit<TenantTable, 'adminRole' | 'tenantSetting'> {
  /** The tenant setting that the policy reads; or, of a policy with another shape (CASE, OR, …), all that it says. */
  from: string | FormerPolicy;
  /** The tenant setting that it shall read. */
  to: string;
  /** Whether the table is a join table with its own tenant column, whose policy has another name. Default `false`. */
  joinTable?: boolean;
}

/**
 * Makes the policy and the tenant column's default read another tenant setting, or makes the library's policy of one with
 * another shape, with ALTER POLICY: the table is never without its policy. `down` restores the former one.
 *
 * The policy must be for all commands. Whom it is for, other policies, and whether row-level security is forced stay as
 * they are. With `sealed` it asks for the seal of the setting, after and, where `from` is a setting, before; `sealTable`
 * takes a policy from the plain form to the sealed one.
 *
 * @throws RlsConfigurationError if the former policy of another shape is not as stated: `down` could not restore it; or if
 * it shall be `sealed`, and the seal is not installed or has no key that is valid now.
 */
export function alterTenantPolicy(options: AlterTenantPolicyOptions): RlsOperation {
  const { table, from } = options;
  const policyName = (options.joinTable ? joinTablePolicyName : tenantPolicyName)(table);
  const alter = (tenantSetting: string) => {
    const changed: TenantTable = { ...options, tenantSetting };
    return [alterPolicySql(table, policyName, tenantTablePredicate(changed)), setTenantDefaultSql(changed)];
  };
  return operation(
    `make the policy of table "${table}" read ${options.to}`,
    async (queryRunner) => {
      if (options.sealed) await checkSealUsable(queryRunner, `seal table "${table}"`, options.to);
      else if (typeof from === 'string') await checkNotSealed(queryRunner, table, policyName, from);
      if (typeof from !== 'string') await checkFormer(queryRunner, options, policyName, from);
      await runAll(queryRunner, alter(options.to));
    },
    (queryRunner) =>
      runAll(queryRunner, typeof from === 'string' ? alter(from) : restoreSql(options, policyName, from)),
  );
}

/**
 * Leaves the former policy with the library's name, and otherwise as it was. PostgreSQL prints expressions in its own way,
 * so the policy is given what is stated of it, and what PostgreSQL prints must stay the same.
 */
async function checkFormer(
  queryRunner: QueryRunner,
  { table, tenantColumn = DEFAULT_TENANT_COLUMN }: AlterTenantPolicyOptions,
  policyName: string,
  former: FormerPolicy,
): Promise<void> {
  const { name = policyName, columnDefault } = former;
  const live = async () => ({
    ...(await policyOf(queryRunner, table, policyName)),
    columnDefault: await defaultOf(queryRunner, table, tenantColumn),
  });
  if (name !== policyName) await queryRunner.query(renamePolicySql(table, name, policyName));
  const before = await live();
  await runAll(queryRunner, [
    restorePolicySql(table, policyName, former),
    restoreDefaultSql(table, tenantColumn, columnDefault),
  ]);
  const stated = await live();
  if (JSON.stringify(before) === JSON.stringify(stated)) return;
  throw new RlsConfigurationError(
    `Policy "${name}" of table "${table}" is ${JSON.stringify(before)}, and \`from\` says ${JSON.stringify(stated)}.`,
    'State it as `rls-tenants check-rls --verbose` prints it, so that down() can restore it.',
  );
}

function restoreSql(
  { table, tenantColumn = DEFAULT_TENANT_COLUMN }: AlterTenantPolicyOptions,
  policyName: string,
  former: FormerPolicy,
): string[] {
  const { name = policyName } = former;
  return [
    restorePolicySql(table, policyName, former),
    restoreDefaultSql(table, tenantColumn, former.columnDefault),
    ...(name === policyName ? [] : [renamePolicySql(table, policyName, name)]),
  ];
}

import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../../errors.js';
import {
  alterPolicySql,
  existsJoinTablePredicate,
  joinTablePolicyName,
  tenantPolicies,
  type ExistsJoinTable,
  type PolicyDefinition,
  type TenantTable,
} from '../../policies/index.js';
import { policiesOf, type LivePolicy } from '../catalog.js';
import { briefly } from '../outside-transaction.js';
import { operation, runAll, type RlsOperation } from '../rls-operation.js';
import { checkSealUsable } from '../seal.js';

/** A protected table, with the settings that it is protected with. */
export type SealTableOptions = Omit<TenantTable, 'adminRole' | 'sealed'>;

/** A protected join table, with the settings that it is protected with: see {@link protectJoinTable}. */
export type SealJoinTableOptions =
  | (Omit<SealTableOptions, 'table'> & { joinTable: string; form?: 'add-column' | 'existing-column' })
  | (Omit<ExistsJoinTable, 'adminRole' | 'sealed'> & { form: 'exists' });

/**
 * Makes the policies of a table in use ask for the seal, in place of the plain setting. Each is changed by one ALTER
 * POLICY, all of them in one transaction: the table is never without them. Before this, every application that reads or
 * writes the table has the option `seal`. `down` brings the plain form back.
 *
 * A partition has policies of its own: seal it under its own name.
 *
 * @throws RlsConfigurationError, and changes nothing, if the seal is not installed, the database has no key that is valid
 * now, or a policy is not the one that the library writes for these settings.
 */
export function sealTable(options: SealTableOptions): RlsOperation {
  return sealing(`table "${options.table}"`, options.table, options.tenantSetting, (sealed) =>
    tenantPolicies({ ...options, sealed }),
  );
}

/** Does for a join table, in each of its forms, what {@link sealTable} does for a table. */
export function sealJoinTable(options: SealJoinTableOptions): RlsOperation {
  const { joinTable } = options;
  const name = joinTablePolicyName(joinTable);
  return sealing(`join table "${joinTable}"`, joinTable, options.tenantSetting, (sealed) =>
    options.form === 'exists'
      ? [{ name, predicate: existsJoinTablePredicate({ ...options, sealed }) }]
      : tenantPolicies({ ...options, table: joinTable, sealed }, name),
  );
}

type Policies = readonly PolicyDefinition[];

function sealing(
  what: string,
  table: string,
  tenantSetting: string | undefined,
  policies: (sealed: boolean) => Policies,
): RlsOperation {
  const [plain, sealed] = [policies(false), policies(true)];
  return operation(
    `seal ${what}`,
    async (queryRunner) => {
      await checkSealUsable(queryRunner, `seal ${what}`, tenantSetting);
      await briefly(queryRunner, (inner) => replace(inner, table, ['plain', plain], sealed));
    },
    (queryRunner) => briefly(queryRunner, (inner) => replace(inner, table, ['sealed', sealed], plain)),
  );
}

/**
 * PostgreSQL prints expressions in its own way. So the policies are given what they are expected to say, and what
 * PostgreSQL prints must stay the same.
 */
async function replace(
  queryRunner: QueryRunner,
  table: string,
  [form, from]: [form: string, policies: Policies],
  to: Policies,
): Promise<void> {
  const alter = (policies: Policies) =>
    runAll(
      queryRunner,
      policies.map(({ name, predicate, command }) => alterPolicySql(table, name, predicate, command)),
    );
  const names = from.map(({ name }) => name);
  const before = await policiesOf(queryRunner, table, names);
  checkThere(table, from, before);
  await alter(from);
  const expected = await policiesOf(queryRunner, table, names);
  for (const [index, live] of before.entries()) checkSame(table, form, live, expected[index]!);
  await alter(to);
}

function checkThere(table: string, wanted: Policies, found: readonly LivePolicy[]): void {
  const missing = wanted.find(
    ({ name, command = 'ALL' }) => !found.some((one) => one.name === name && one.command === command),
  );
  if (!missing) return;
  throw new RlsConfigurationError(
    `Table "${table}" has no policy "${missing.name}" for ${missing.command ?? 'ALL'}.`,
    'Protect it first, and state it as it is protected: `readableBySet` and `sharedTenant` decide which policies it has.',
  );
}

function checkSame(table: string, form: string, live: LivePolicy, expected: LivePolicy): void {
  if (JSON.stringify(live) === JSON.stringify(expected)) return;
  const printed = ({ using, withCheck }: LivePolicy) => JSON.stringify({ using, withCheck });
  throw new RlsConfigurationError(
    `Policy "${live.name}" of table "${table}" is ${printed(live)}; its ${form} form would be ${printed(expected)}.`,
    'State the settings that the table is protected with; alterTenantPolicy() makes the library’s policy of one with another shape. Leave the operation out if the policy has the other form already.',
  );
}

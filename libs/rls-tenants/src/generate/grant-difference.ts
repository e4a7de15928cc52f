import type { QueryRunner } from 'typeorm';
import { grantsFor, lackingOf } from '../migrations/catalog.js';
import { DEFAULT_ADMIN_ROLE, grantSql, revokeSql, type Grant } from '../policies/index.js';
import { structureStep, type ProtectionRoles } from './policy-difference.js';
import type { OperationStep } from './step.js';

/** What the app role and the admin role lack to use a protected table and its sequences, as operations that grant it. */
export async function grantDifference(
  queryRunner: QueryRunner,
  table: string,
  { appRole, adminRole = DEFAULT_ADMIN_ROLE }: ProtectionRoles,
): Promise<OperationStep[]> {
  const steps: OperationStep[] = [];
  for (const role of [appRole, adminRole]) {
    const wanted = await grantsFor(queryRunner, table, [role]);
    const lacking = await lackingOf(queryRunner, wanted);
    // grantTable() refuses to grant what is held, because its down() would take that away.
    if (count(lacking) === count(wanted)) steps.push(structureStep(table, 'grantTable', [{ table, role }]));
    else steps.push(...lacking.map((grant) => partialStep(table, grant)));
  }
  return steps;
}

function partialStep(table: string, grant: Grant): OperationStep {
  return structureStep(table, 'runSql', [grantSql(grant), revokeSql(grant)]);
}

function count(grants: readonly Grant[]): number {
  return grants.reduce((sum, { privileges }) => sum + privileges.length, 0);
}

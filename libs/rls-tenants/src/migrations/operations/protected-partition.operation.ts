import { randomUUID } from 'node:crypto';
import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../../errors.js';
import {
  attachPartitionSql,
  createPartitionSql,
  dropPartitionSql,
  partitionBoundSql,
  partitionHasRowsSql,
  partitionProbeSql,
  protectSql,
  quoteTable,
  revokeAllSql,
  tenantPolicyName,
  tenantTablePredicate,
  type PartitionBound,
  type TenantTable,
} from '../../policies/index.js';
import { withAllRows } from '../admission.js';
import { liveTable } from '../live-index.js';
import { briefly } from '../outside-transaction.js';
import { operation, runAll, type RlsOperation } from '../rls-operation.js';
import { checkSealInstalled } from '../seal.js';

/** A partition to add. */
export interface ProtectedPartitionOptions extends Omit<TenantTable, 'table'> {
  /** The partitioned table, in TypeORM's notation. */
  parent: string;
  /** The partition's own name. */
  name: string;
  bound: PartitionBound;
  /** The login that serves requests. It reaches the partition through the partitioned table only. */
  appRole: string;
}

interface FoundPartition {
  attached: boolean;
  protected: boolean;
  bound: string | null;
}

/**
 * Creates a table with row-level security enabled and forced and its policies, and attaches it as a partition: PostgreSQL
 * asks only the partitioned table's policies of those who name that, and only the partition's of those who name the
 * partition. The app role gets no privilege on it, not even one that default privileges give. Readers and writers of the
 * partitioned table go on; only a DEFAULT partition is locked and scanned. `down` drops the partition if it is empty.
 *
 * @throws RlsConfigurationError if a table of that name is not this partition, if it is `sealed` and the seal is not
 * installed, or, in `down`, if it holds rows.
 */
export function protectedPartition(options: ProtectedPartitionOptions): RlsOperation {
  const { parent, name } = options;
  return operation(
    `add protected partition "${name}" to table "${parent}"`,
    async (queryRunner) => {
      await liveTable(queryRunner, parent);
      const found = await partitionOf(queryRunner, parent, name);
      if (found) return checkSamePartition(queryRunner, options, found);
      if (options.sealed) {
        await checkSealInstalled(queryRunner, `add sealed partition "${name}"`, options.tenantSetting);
      }
      await briefly(queryRunner, (inner) => runAll(inner, partitionSql(options)));
    },
    async (queryRunner) => {
      const found = await partitionOf(queryRunner, parent, name);
      if (!found) return;
      await checkEmpty(queryRunner, name);
      await briefly(queryRunner, (inner) => runAll(inner, [dropPartitionSql(name)]));
    },
  );
}

function partitionSql({
  parent,
  name,
  bound,
  appRole,
  adminRole,
  ...settings
}: ProtectedPartitionOptions): string[] {
  return [
    createPartitionSql(parent, name),
    ...protectSql(
      name,
      tenantPolicyName(name),
      tenantTablePredicate({ ...settings, table: name }),
      adminRole,
    ),
    revokeAllSql(name, appRole),
    attachPartitionSql(parent, name, bound),
  ];
}

async function partitionOf(
  queryRunner: QueryRunner,
  parent: string,
  name: string,
): Promise<FoundPartition | undefined> {
  const [found] = (await queryRunner.query(
    `SELECT coalesce(inhparent = to_regclass($1), false) AS attached, relrowsecurity AND relforcerowsecurity AS protected,
       pg_get_expr(relpartbound, oid) AS bound FROM pg_class LEFT JOIN pg_inherits ON inhrelid = oid
     WHERE oid = to_regclass($2)`,
    [quoteTable(parent), quoteTable(name)],
  )) as FoundPartition[];
  return found;
}

async function checkSamePartition(
  queryRunner: QueryRunner,
  { parent, name, bound }: ProtectedPartitionOptions,
  found: FoundPartition,
): Promise<void> {
  const meant = await printedBound(queryRunner, parent, bound);
  if (found.attached && found.protected && found.bound === meant) return;
  const is = found.attached
    ? `${found.protected ? 'a protected' : 'an unprotected'} partition ${found.bound}`
    : 'no partition of it';
  throw new RlsConfigurationError(
    `Table "${parent}" cannot get partition "${name}" ${meant}: there is a table of that name, which is ${is}.`,
    'Give the partition another name, or protect, detach or drop the other table in an operation of its own.',
  );
}

/** How PostgreSQL prints the bound, from an empty table that is rolled back. */
async function printedBound(
  queryRunner: QueryRunner,
  parent: string,
  bound: PartitionBound,
): Promise<string> {
  const { oid, schema } = await liveTable(queryRunner, parent);
  const probe = { schema, name: `rls_probe_${randomUUID().slice(0, 8)}` };
  const [key] = (await queryRunner.query('SELECT pg_get_partkeydef($1) AS definition', [oid])) as {
    definition: string | null;
  }[];
  if (!key?.definition) {
    throw new RlsConfigurationError(`Table "${parent}" is not partitioned.`, 'Name a partitioned table.');
  }
  await queryRunner.startTransaction();
  try {
    await runAll(queryRunner, partitionProbeSql(probe, parent, key.definition, bound));
    const found = await partitionOf(queryRunner, `${schema}.${probe.name}`, `${schema}.${probe.name}_part`);
    return found?.bound ?? partitionBoundSql(bound);
  } finally {
    await queryRunner.rollbackTransaction();
  }
}

async function checkEmpty(queryRunner: QueryRunner, name: string): Promise<void> {
  await withAllRows(queryRunner, [name], async () => {
    const [{ hasRows }] = (await queryRunner.query(partitionHasRowsSql(name))) as [{ hasRows: boolean }];
    if (!hasRows) return;
    throw new RlsConfigurationError(
      `Partition "${name}" holds rows, which would be lost.`,
      'Move or delete them first, or detach the partition in an operation of its own.',
    );
  });
}

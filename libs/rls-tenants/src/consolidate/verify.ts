import type { DataSource } from 'typeorm';
import { compareSql } from './consolidate.sql.js';
import { plan, type ConsolidationOptions, type ConsolidationPlan } from './plan.js';
import { Session } from './session.js';

/** One tenant's rows of one table, in its old schema and in the protected table, at one moment. */
export interface Verification {
  readonly schema: string;
  readonly tenantId: string;
  readonly table: string;
  readonly oldRows: number;
  readonly newRows: number;
  /** As many rows, with the same contents. */
  readonly same: boolean;
}

interface Compared {
  oldRows: string;
  oldChecksum: string;
  newRows: string;
  newChecksum: string;
}

/**
 * Compares the old schemas with the protected tables and writes nothing. It takes no lock that writers would notice: the
 * answer is about the moment at which each tenant was read. At cut-over run it when nobody writes any more.
 *
 * @throws RlsConfigurationError as {@link planConsolidation} does.
 */
export function verifyConsolidation(
  dataSource: DataSource,
  options: ConsolidationOptions,
): Promise<{ plan: ConsolidationPlan; verified?: readonly Verification[] }> {
  return Session.with(dataSource, async (session, scopes) => {
    const planned = await plan(session, scopes, options, false);
    if (planned.problems.length > 0) return { plan: planned };
    return { plan: planned, verified: await verifyCopies(session, planned) };
  });
}

/** Every tenant's tables are read in one transaction, and so at the same moment. */
export async function verifyCopies(
  session: Session,
  { schemas, copies }: Pick<ConsolidationPlan, 'schemas' | 'copies'>,
): Promise<Verification[]> {
  const verified: Verification[] = [];
  for (const { schema, tenantId } of schemas) {
    await session.reading(async () => {
      for (const { copy, table } of copies.filter((candidate) => candidate.schema === schema)) {
        const compared = await session.one<Compared>(compareSql(copy), [tenantId]);
        const { oldRows, oldChecksum, newRows, newChecksum } = compared;
        verified.push({
          schema,
          tenantId,
          table: table.scope.table,
          oldRows: Number(oldRows),
          newRows: Number(newRows),
          same: oldRows === newRows && oldChecksum === newChecksum,
        });
      }
    });
  }
  return verified;
}

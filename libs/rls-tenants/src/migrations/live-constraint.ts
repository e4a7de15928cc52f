import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import { addCheckSql, dropLiveConstraintSql, validateConstraintSql } from '../policies/index.js';
import { probe, type LiveTable } from './live-index.js';
import { briefly, scan } from './outside-transaction.js';

/** A constraint as the catalog has it. */
export interface LiveConstraint {
  readonly validated: boolean;
  /** As PostgreSQL prints it, without NOT VALID. */
  readonly definition: string;
}

/** The table's constraint of that name. */
export async function liveConstraint(
  queryRunner: QueryRunner,
  table: LiveTable,
  name: string,
): Promise<LiveConstraint | undefined> {
  const [found] = (await queryRunner.query(
    `SELECT convalidated AS validated, regexp_replace(pg_get_constraintdef(oid), ' NOT VALID$', '') AS definition
     FROM pg_constraint WHERE conrelid = $1 AND conname = $2`,
    [table.oid, name],
  )) as LiveConstraint[];
  return found;
}

/** A constraint to add without keeping writers out while the rows there are checked. */
export interface ConstraintToValidate {
  name: string;
  /** What PostgreSQL prints once it is there. */
  definition: string;
  /** Adds it NOT VALID. */
  add: string;
}

/**
 * Adds a constraint and validates it in another transaction, each unless done. A constraint that rows violate is dropped
 * again: it would refuse every update of those rows until somebody corrects them.
 *
 * @param validate Runs VALIDATE in its own way, in a transaction.
 * @throws RlsConfigurationError if the name belongs to another constraint; otherwise what `validate` throws.
 */
export async function addAndValidate(
  queryRunner: QueryRunner,
  table: LiveTable,
  { name, definition, add }: ConstraintToValidate,
  validate: (inner: QueryRunner) => Promise<void> = (inner) =>
    inner.query(validateConstraintSql(table, name)) as Promise<void>,
): Promise<void> {
  const found = await liveConstraint(queryRunner, table, name);
  if (found && found.definition !== definition)
    throw otherConstraint(table, name, found.definition, definition);
  if (!found) {
    await briefly(queryRunner, async (inner) => {
      await inner.query(add);
    });
  }
  if (found?.validated) return;
  try {
    await scan(queryRunner, validate);
  } catch (error) {
    // A validation that was only interrupted goes on next time.
    if (isViolation(error)) await dropConstraint(queryRunner, table, name, () => definition);
    throw error;
  }
}

/**
 * Drops the constraint if it is there.
 *
 * @param definition What PostgreSQL prints for the one meant; asked only if there is one of that name.
 * @throws RlsConfigurationError if the name belongs to another constraint, which is not ours to drop.
 */
export async function dropConstraint(
  queryRunner: QueryRunner,
  table: LiveTable,
  name: string,
  definition: () => string | Promise<string>,
): Promise<void> {
  const found = await liveConstraint(queryRunner, table, name);
  if (!found) return;
  const meant = await definition();
  if (found.definition !== meant) {
    throw new RlsConfigurationError(
      `Constraint "${name}" of table "${table.name}" is not the one to drop: it is ${found.definition}, and should be ${meant}.`,
      'Drop it in an operation of its own, or record the migration as reverted (`rls-tenants migrate fake <name> --revert`).',
    );
  }
  await briefly(queryRunner, async (inner) => {
    await inner.query(dropLiveConstraintSql(table, name));
  });
}

/** How PostgreSQL prints a CHECK of that condition. */
export function printedCheck(
  queryRunner: QueryRunner,
  table: LiveTable,
  expression: string,
): Promise<string> {
  return probe(queryRunner, table, async (probed) => {
    await queryRunner.query(addCheckSql(probed, 'probe', expression, true));
    const [{ definition }] = (await queryRunner.query(
      `SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conname = 'probe' AND conrelid = (
         SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = $1 AND relname = $2)`,
      [probed.schema, probed.name],
    )) as [{ definition: string }];
    return definition;
  });
}

/** The error of a name that belongs to another constraint. */
export function otherConstraint(
  table: LiveTable,
  name: string,
  found: string,
  meant: string,
): RlsConfigurationError {
  return new RlsConfigurationError(
    `Table "${table.name}" has another constraint "${name}": it is ${found}, and should be ${meant}.`,
    'Give the new constraint another name, or drop the other one in an operation of its own first.',
  );
}

/** Rows violate the constraint: PostgreSQL's 23503 and 23514. */
function isViolation(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === '23503' || code === '23514';
}

import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../../errors.js';
import {
  addCheckSql,
  dropLiveConstraintSql,
  notNullCheckName,
  notNullExpression,
  notNullSql,
} from '../../policies/index.js';
import { addAndValidate, dropConstraint, liveConstraint, printedCheck } from '../live-constraint.js';
import { liveTable, type LiveTable } from '../live-index.js';
import { briefly, steps } from '../outside-transaction.js';
import type { RlsOperation } from '../rls-operation.js';

/** A CHECK constraint of a table that is in use. */
export interface CheckConstraintOptions {
  /** In TypeORM's notation. */
  table: string;
  name: string;
  /** The condition, as SQL. */
  expression: string;
}

/** A column to make NOT NULL. */
export interface NotNullOptions {
  /** In TypeORM's notation. */
  table: string;
  column: string;
}

/**
 * Adds a CHECK constraint `NOT VALID`, and validates it in another transaction, while readers and writers go on. `down`
 * drops it. For a ConcurrentMigration.
 *
 * @throws RlsConfigurationError if the name belongs to another constraint; PostgreSQL's 23514 if a row violates it, and
 * then the constraint is gone again.
 */
export function checkConstraint({ table, name, expression }: CheckConstraintOptions): RlsOperation {
  return steps(
    `add check constraint "${name}" to table "${table}"`,
    async (queryRunner) => {
      const live = await liveTable(queryRunner, table);
      await addAndValidate(queryRunner, live, {
        name,
        definition: await printedCheck(queryRunner, live, expression),
        add: addCheckSql(live, name, expression),
      });
    },
    async (queryRunner) => {
      const live = await liveTable(queryRunner, table);
      await dropConstraint(queryRunner, live, name, () => printedCheck(queryRunner, live, expression));
    },
  );
}

/**
 * Makes a column NOT NULL without a scan under ACCESS EXCLUSIVE: a CHECK added `NOT VALID`, validated in another
 * transaction, then SET NOT NULL, which trusts the CHECK, and the CHECK dropped. `down` allows NULL again. For a
 * ConcurrentMigration.
 *
 * @throws RlsConfigurationError if a row has no value, and then the column is as before.
 */
export function notNull({ table, column }: NotNullOptions): RlsOperation {
  return steps(
    `make column "${column}" of table "${table}" NOT NULL`,
    async (queryRunner) => {
      const live = await liveTable(queryRunner, table);
      const check = notNullCheckName(live.name, column);
      const done = await isNotNull(queryRunner, live, column);
      if (done && !(await liveConstraint(queryRunner, live, check))) return;
      if (!done) await checkNotNull(queryRunner, live, column, check);
      await briefly(queryRunner, async (inner) => {
        await inner.query(notNullSql(live, column, 'SET'));
        if (await liveConstraint(inner, live, check)) await inner.query(dropLiveConstraintSql(live, check));
      });
    },
    async (queryRunner) => {
      const live = await liveTable(queryRunner, table);
      await dropConstraint(queryRunner, live, notNullCheckName(live.name, column), () =>
        printedCheck(queryRunner, live, notNullExpression(column)),
      );
      if (!(await isNotNull(queryRunner, live, column))) return;
      await briefly(queryRunner, async (inner) => {
        await inner.query(notNullSql(live, column, 'DROP'));
      });
    },
  );
}

async function checkNotNull(
  queryRunner: QueryRunner,
  table: LiveTable,
  column: string,
  name: string,
): Promise<void> {
  const expression = notNullExpression(column);
  try {
    await addAndValidate(queryRunner, table, {
      name,
      definition: await printedCheck(queryRunner, table, expression),
      add: addCheckSql(table, name, expression),
    });
  } catch (error) {
    if ((error as { code?: string }).code !== '23514') throw error;
    throw new RlsConfigurationError(
      `Column "${column}" of table "${table.name}" has rows without a value.`,
      'Fill them first (a backfill), and give the column a default so that no more are added.',
      { cause: error },
    );
  }
}

async function isNotNull(queryRunner: QueryRunner, table: LiveTable, column: string): Promise<boolean> {
  const [found] = (await queryRunner.query(
    `SELECT attnotnull AS "notNull" FROM pg_attribute WHERE attrelid = $1 AND attname = $2 AND attnum > 0 AND NOT attisdropped`,
    [table.oid, column],
  )) as { notNull: boolean }[];
  if (found) return found.notNull;
  throw new RlsConfigurationError(
    `Table "${table.name}" has no column "${column}".`,
    'Add it in an earlier migration.',
  );
}

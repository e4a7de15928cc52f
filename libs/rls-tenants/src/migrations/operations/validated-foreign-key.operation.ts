import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../../errors.js';
import {
  addCompositeForeignKeySql,
  addPlainForeignKeySql,
  countOrphansSql,
  DEFAULT_TENANT_COLUMN,
  notValidSql,
  quoteTable,
  setsColumns,
  validateConstraintSql,
  type CompositeForeignKey,
  type ForeignKey,
} from '../../policies/index.js';
import { withAllRows } from '../admission.js';
import { addAndValidate, dropConstraint, liveConstraint } from '../live-constraint.js';
import { liveTable, type LiveTable } from '../live-index.js';
import { scan, steps } from '../outside-transaction.js';
import type { RlsOperation } from '../rls-operation.js';
import {
  checkColumnList,
  checkReplaced,
  compositeKey,
  replacedKey,
  type CompositeForeignKeyOptions,
} from './composite-keys.operation.js';

type ColumnPairs = ForeignKey['columns'];

/** A foreign key to add, with all of its columns. */
interface Key {
  key: ForeignKey;
  columns: ColumnPairs;
  add: string;
  /** The columns that ON DELETE SET NULL names. */
  deleteColumns: readonly string[];
}

/**
 * Adds a foreign key `(tenant_id, x_id) → (tenant_id, id)` `NOT VALID`, validates it in another transaction while readers
 * and writers go on, counts the rows that reference nothing, for a validation that cannot see all rows finds nothing
 * wrong, and drops the plain key that it replaces. `down` restores that in the same way. For a ConcurrentMigration.
 *
 * @throws RlsConfigurationError if row-level security hides rows from the migration's role, if the name belongs to another
 * constraint (in `down` too), or if the replaced key is not as stated; PostgreSQL's 23503 if a row references another tenant's, and then
 * the key is gone again.
 */
export function validatedForeignKey(options: CompositeForeignKeyOptions): RlsOperation {
  const { table, referencedTable } = options;
  return steps(
    `add a composite foreign key from table "${table}" to table "${referencedTable}"`,
    async (queryRunner) => {
      await checkColumnList(queryRunner, options);
      const live = await liveTable(queryRunner, table);
      const key = composite(compositeKey(queryRunner, options));
      const replaced = replacedKey(queryRunner, options);
      // It is dropped last: where it is gone, all the rest is done.
      const done = (await liveConstraint(queryRunner, live, key.key.name))?.validated;
      if (replaced && !done) await checkReplaced(queryRunner, replaced);
      await addForeignKey(queryRunner, live, key);
      if (replaced) await dropForeignKey(queryRunner, live, plain(replaced));
    },
    async (queryRunner) => {
      const live = await liveTable(queryRunner, table);
      const replaced = replacedKey(queryRunner, options);
      if (replaced) await addForeignKey(queryRunner, live, plain(replaced));
      await dropForeignKey(queryRunner, live, composite(compositeKey(queryRunner, options)));
    },
  );
}

async function addForeignKey(queryRunner: QueryRunner, table: LiveTable, wanted: Key): Promise<void> {
  const { key, columns, add } = wanted;
  const withRows = (work: (inner: QueryRunner) => Promise<void>) => (inner: QueryRunner) =>
    withAllRows(inner, [key.table, key.referencedTable], () => work(inner));
  await addAndValidate(
    queryRunner,
    table,
    { name: key.name, definition: await printedForeignKey(queryRunner, wanted), add: notValidSql(add) },
    withRows(async (inner) => {
      await inner.query(validateConstraintSql(table, key.name));
    }),
  );
  let orphans = '0';
  await scan(
    queryRunner,
    withRows(async (inner) => {
      const [row] = (await inner.query(countOrphansSql(key.table, key.referencedTable, columns))) as [
        { orphans: string },
      ];
      orphans = row.orphans;
    }),
  );
  if (orphans === '0') return;
  await dropForeignKey(queryRunner, table, wanted);
  throw new RlsConfigurationError(
    `Table "${key.table}" has ${orphans} rows whose (${columns.map(({ column }) => column).join(', ')}) is in no row of table "${key.referencedTable}", although foreign key "${key.name}" was validated.`,
    'It was validated by a role that does not see all rows. Correct these rows, then run the migration again.',
  );
}

function dropForeignKey(queryRunner: QueryRunner, table: LiveTable, wanted: Key): Promise<void> {
  return dropConstraint(queryRunner, table, wanted.key.name, () => printedForeignKey(queryRunner, wanted));
}

function composite(key: CompositeForeignKey): Key {
  const { tenantColumn = DEFAULT_TENANT_COLUMN, referencedTenantColumn = DEFAULT_TENANT_COLUMN } = key;
  return {
    key,
    columns: [{ column: tenantColumn, referencedColumn: referencedTenantColumn }, ...key.columns],
    add: addCompositeForeignKeySql(key),
    deleteColumns: setsColumns(key.onDelete) ? key.columns.map(({ column }) => column) : [],
  };
}

function plain(key: ForeignKey): Key {
  return { key, columns: key.columns, add: addPlainForeignKeySql(key), deleteColumns: [] };
}

/** How PostgreSQL prints the key. It cannot be tried out: that would lock the referenced table. */
async function printedForeignKey(queryRunner: QueryRunner, wanted: Key): Promise<string> {
  const { key, columns, deleteColumns } = wanted;
  const list = (parameter: string) =>
    `(SELECT string_agg(quote_ident(name), ', ' ORDER BY n) FROM unnest(${parameter}::text[]) WITH ORDINALITY AS c(name, n))`;
  const [{ definition }] = (await queryRunner.query(
    `SELECT format('FOREIGN KEY (%s) REFERENCES %s(%s)', ${list('$1')}, to_regclass($2), ${list('$3')})
       || CASE $4::text WHEN 'NO ACTION' THEN '' ELSE ' ON UPDATE ' || $4 END
       || CASE $5::text WHEN 'NO ACTION' THEN '' ELSE ' ON DELETE ' || $5 END
       || coalesce(' (' || ${list('$6')} || ')', '') AS definition`,
    [
      columns.map(({ column }) => column),
      quoteTable(key.referencedTable),
      columns.map(({ referencedColumn }) => referencedColumn),
      key.onUpdate ?? 'NO ACTION',
      key.onDelete ?? 'NO ACTION',
      deleteColumns,
    ],
  )) as [{ definition: string }];
  return definition;
}

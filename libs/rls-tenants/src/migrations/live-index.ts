import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { QueryRunner } from 'typeorm';
import { RlsConfigurationError } from '../errors.js';
import {
  buildIndexSql,
  createProbeSql,
  dropLiveIndexSql,
  duplicateKeysSql,
  quoteTable,
  type IndexDefinition,
  type TableName,
} from '../policies/index.js';
import { withAllRows } from './admission.js';
import { withSettings } from './outside-transaction.js';
import { inTransaction } from './rls-operation.js';

/** A table as the catalog has it. */
export interface LiveTable {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  readonly partitioned: boolean;
}

/** An index as the catalog has it. */
export interface LiveIndex {
  readonly oid: string;
  readonly valid: boolean;
  /** The table it is on. */
  readonly tableOid: string;
  readonly tableName: string;
  /** Everything but its name and its table, as PostgreSQL prints it. */
  readonly definition: string;
  /** The oid of the partitioned index that it is part of. */
  readonly parentOid: string | null;
}

/** How often to look whether somebody else's build is done, in milliseconds. */
const POLL_INTERVAL = 250;

/** The table of that name. @throws RlsConfigurationError if there is none. */
export async function liveTable(queryRunner: QueryRunner, table: string): Promise<LiveTable> {
  const [found] = (await queryRunner.query(
    `SELECT c.oid::text, nspname::text AS schema, relname::text AS name, relkind = 'p' AS partitioned
     FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = to_regclass($1) AND relkind IN ('r', 'p')`,
    [quoteTable(table)],
  )) as LiveTable[];
  if (found) return found;
  throw new RlsConfigurationError(
    `Table "${table}" does not exist.`,
    'Create it in an earlier migration; write `schema.table` where the search path does not find it.',
  );
}

/** The index of that name. @throws RlsConfigurationError if something else has the name. */
export async function liveIndex(queryRunner: QueryRunner, index: TableName): Promise<LiveIndex | undefined> {
  const [found] = (await queryRunner.query(
    `SELECT i.oid::text, coalesce(indisvalid AND indisready AND indislive, false) AS valid,
       indrelid::text AS "tableOid", indrelid::regclass::text AS "tableName",
       (SELECT inhparent::text FROM pg_inherits WHERE inhrelid = i.oid) AS "parentOid",
       CASE WHEN indrelid IS NOT NULL THEN CASE WHEN indisunique THEN 'UNIQUE' ELSE '' END || right(pg_get_indexdef(i.oid), -length(format('CREATE %sINDEX %I ON %s%I.%I',
         CASE WHEN indisunique THEN 'UNIQUE ' END, i.relname, CASE i.relkind WHEN 'I' THEN 'ONLY ' END, tn.nspname, t.relname))) END AS definition
     FROM pg_class i JOIN pg_namespace n ON n.oid = i.relnamespace
     LEFT JOIN pg_index ON indexrelid = i.oid LEFT JOIN pg_class t ON t.oid = indrelid
     LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace WHERE n.nspname = $1 AND i.relname = $2`,
    [index.schema, index.name],
  )) as LiveIndex[];
  if (!found || found.tableOid !== null) return found;
  throw new RlsConfigurationError(
    `The name of index "${index.name}" belongs to a relation that is no index.`,
    'Give the index another name.',
  );
}

/**
 * Builds the index while readers and writers go on, unless it is there. An invalid one, which an interrupted build left,
 * is built anew, once nobody is building it.
 *
 * @throws RlsConfigurationError if the name belongs to another index, or for duplicates that a unique index cannot hold,
 * which leave no index behind.
 */
export async function buildConcurrently(
  queryRunner: QueryRunner,
  table: LiveTable,
  name: string,
  definition: IndexDefinition,
): Promise<void> {
  const index = { schema: table.schema, name };
  const found = await settledIndex(queryRunner, table, index);
  if (found) await checkSameIndex(queryRunner, table, index, definition, found);
  if (found?.valid) return;
  // A build that gives up waiting for somebody's transaction leaves an invalid index behind: it waits as long as it takes.
  await withSettings(queryRunner, { lock_timeout: '0', statement_timeout: '0' }, async () => {
    if (found) await queryRunner.query(dropLiveIndexSql(index, true));
    try {
      await queryRunner.query(buildIndexSql(table, name, definition, 'concurrently'));
    } catch (error) {
      if ((error as { code?: string }).code !== '23505') throw error;
      if (await liveIndex(queryRunner, index)) await queryRunner.query(dropLiveIndexSql(index, true));
      throw await duplicatesError(queryRunner, table, definition, error);
    }
  });
  if ((await liveIndex(queryRunner, index))?.valid) return;
  throw new RlsConfigurationError(
    `Index "${name}" on table "${table.name}" is not valid after it was built.`,
    'Run the migration again: it builds the index anew.',
  );
}

/**
 * Drops an index while readers and writers go on, if it is there.
 *
 * @throws RlsConfigurationError if the name belongs to another index, which is not ours to drop.
 */
export async function dropConcurrently(
  queryRunner: QueryRunner,
  table: LiveTable,
  name: string,
  definition: IndexDefinition,
): Promise<void> {
  const index = { schema: table.schema, name };
  const found = await liveIndex(queryRunner, index);
  if (!found) return;
  await checkSameIndex(queryRunner, table, index, definition, found);
  await withSettings(queryRunner, { lock_timeout: '0', statement_timeout: '0' }, () =>
    queryRunner.query(dropLiveIndexSql(index, true)).then(() => undefined),
  );
}

/**
 * Checks that the index is on this table and, if it is valid, that it is the one meant: PostgreSQL prints the definition
 * of both in the same way, the one meant from an empty table of the same columns that is rolled back.
 */
export async function checkSameIndex(
  queryRunner: QueryRunner,
  table: LiveTable,
  index: TableName,
  definition: IndexDefinition,
  found: LiveIndex,
): Promise<void> {
  if (found.tableOid !== table.oid) throw otherTable(index.name, table, found);
  if (!found.valid && found.parentOid === null && !table.partitioned) return;
  const meant = await probe(queryRunner, table, async (probed) => {
    await queryRunner.query(buildIndexSql(probed, `${probed.name}_index`, definition, 'plain'));
    return (await liveIndex(queryRunner, { schema: table.schema, name: `${probed.name}_index` }))!.definition;
  });
  if (found.definition === meant) return;
  throw new RlsConfigurationError(
    `Table "${table.name}" has another index "${index.name}": it is${printed(found.definition)}, and should be${printed(meant)}.`,
    'Give the new index another name, or drop the other one in an operation of its own first.',
  );
}

/** Looks at what PostgreSQL makes of something on an empty table with the same columns, and undoes it. */
export async function probe<T>(
  queryRunner: QueryRunner,
  table: LiveTable,
  look: (probed: { schema: string; name: string }) => Promise<T>,
): Promise<T> {
  const probed = { schema: table.schema, name: `rls_probe_${randomUUID().slice(0, 8)}` };
  await queryRunner.startTransaction();
  try {
    await queryRunner.query(createProbeSql(probed, table));
    return await look(probed);
  } finally {
    await queryRunner.rollbackTransaction();
  }
}

/** @throws RlsConfigurationError if more than one row has the same key, with some of these keys. */
export async function checkNoDuplicates(
  queryRunner: QueryRunner,
  table: LiveTable,
  columns: readonly string[],
  where?: string,
  cause?: unknown,
): Promise<void> {
  await inTransaction((inner) =>
    withAllRows(inner, [`${table.schema}.${table.name}`], async () => {
      const sample = (await inner.query(duplicateKeysSql(table, columns, where))) as {
        key: string;
        rows: string;
      }[];
      if (sample.length === 0) return;
      const keys = sample.map(({ key, rows }) => `(${key}) in ${rows} rows`).join('; ');
      throw duplicates(table, columns.join(', '), keys, cause);
    }),
  )(queryRunner);
}

async function duplicatesError(
  queryRunner: QueryRunner,
  table: LiveTable,
  { columns, where }: IndexDefinition,
  cause: unknown,
): Promise<unknown> {
  const names = columns.filter((column) => typeof column === 'string');
  try {
    if (names.length === columns.length) await checkNoDuplicates(queryRunner, table, names, where, cause);
  } catch (error) {
    return error;
  }
  const printedColumns = columns.map((column) => (typeof column === 'string' ? column : column.expression));
  return duplicates(table, printedColumns.join(', '), String((cause as { detail?: string }).detail), cause);
}

function duplicates(table: LiveTable, columns: string, keys: string, cause: unknown): RlsConfigurationError {
  return new RlsConfigurationError(
    `Table "${table.name}" has rows with the same (${columns}): ${keys}.`,
    'Give each row its own values, then run the migration again.',
    { cause },
  );
}

/** The index once nobody is building it. */
async function settledIndex(
  queryRunner: QueryRunner,
  table: LiveTable,
  index: TableName,
): Promise<LiveIndex | undefined> {
  for (;;) {
    // In this order: a build that ends between the two questions has made the index valid by the second.
    const building = await isBuilding(queryRunner, table);
    const found = await liveIndex(queryRunner, index);
    if (!found || found.valid || !building) return found;
    await sleep(POLL_INTERVAL);
  }
}

/** Whether another backend builds an index of the table: the lock tells whose, for the view hides that from other roles. */
async function isBuilding(queryRunner: QueryRunner, table: LiveTable): Promise<boolean> {
  const [{ building }] = (await queryRunner.query(
    `SELECT EXISTS (SELECT FROM pg_stat_progress_create_index p JOIN pg_locks l USING (pid)
       WHERE l.locktype = 'relation' AND l.relation = $1 AND l.granted AND pid <> pg_backend_pid()
         AND l.mode = 'ShareUpdateExclusiveLock' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
     ) AS building`,
    [table.oid],
  )) as [{ building: boolean }];
  return building;
}

function otherTable(name: string, table: LiveTable, found: LiveIndex): RlsConfigurationError {
  return new RlsConfigurationError(
    `Index "${name}" of table "${table.name}" cannot be made: table ${found.tableName} has an index of that name.`,
    'Give the new index another name.',
  );
}

/** `UNIQUE USING btree (a)` with a space in front of it. */
function printed(definition: string): string {
  return definition.startsWith(' ') ? definition : ` ${definition}`;
}

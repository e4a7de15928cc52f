import type { CatalogQuery } from '../audit/catalog.js';
import { readSql } from '../lint/read-sql.js';
import { quoteIdentifier, quoteTable } from '../policies/index.js';
import type { SqlStep } from './step.js';

const CONSTRAINT_SQL = `
  SELECT pg_catalog.pg_get_constraintdef(oid) AS definition FROM pg_catalog.pg_constraint
   WHERE conrelid = pg_catalog.to_regclass($1) AND conname = $2`;

const INDEX_SQL = `
  SELECT pg_catalog.pg_get_indexdef(indexrelid) AS definition FROM pg_catalog.pg_index
   WHERE indexrelid = pg_catalog.to_regclass($1)`;

/**
 * The steps, with what undoes the drop of a constraint or an index as PostgreSQL defines it. TypeORM makes it again from
 * what it read, which leaves out which columns ON DELETE SET NULL names, the order and the operator classes of an index,
 * included columns, and whether a constraint is deferrable.
 */
export async function withDefinitions(query: CatalogQuery, steps: readonly SqlStep[]): Promise<SqlStep[]> {
  const exact: SqlStep[] = [];
  for (const step of steps) {
    const undo = await undoOf(query, step);
    exact.push(undo === undefined ? step : { ...step, down: [undo] });
  }
  return exact;
}

async function undoOf(query: CatalogQuery, { up, down }: SqlStep): Promise<string | undefined> {
  const [drop] = readSql(up).flatMap(({ changes }) => changes);
  if (down.length !== 1) return undefined;
  if (drop?.kind === 'drop-constraint') {
    const definition = await definitionOf(query, CONSTRAINT_SQL, [quoteTable(drop.table), drop.name]);
    return (
      definition &&
      `ALTER TABLE ${quoteTable(drop.table)} ADD CONSTRAINT ${quoteIdentifier(drop.name)} ${definition}`
    );
  }
  return drop?.kind === 'drop-index' ? definitionOf(query, INDEX_SQL, [quoteTable(drop.name)]) : undefined;
}

/** Undefined for what is not there yet: an earlier step makes it. */
async function definitionOf(
  query: CatalogQuery,
  sql: string,
  values: readonly string[],
): Promise<string | undefined> {
  const [row] = (await query(sql, [...values])) as { definition: string }[];
  return row?.definition;
}

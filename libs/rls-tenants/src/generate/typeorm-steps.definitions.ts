import type { CatalogQuery } from '../audit/catalog.js';
import { readSql } from '../lint/read-sql.js';
import { objectName, quoteIdentifier, quoteLiteral, quoteTable } from '../policies/index.js';
import { parseStatement } from './statement.js';
import type { SqlStep } from './step.js';

const CONSTRAINT_SQL = `
  SELECT pg_catalog.pg_get_constraintdef(oid) AS definition FROM pg_catalog.pg_constraint
   WHERE conrelid = pg_catalog.to_regclass($1) AND conname = $2`;

const INDEX_SQL = `
  SELECT pg_catalog.pg_get_indexdef(indexrelid) AS definition FROM pg_catalog.pg_index
   WHERE indexrelid = pg_catalog.to_regclass($1)`;

/** $1 an enum */
const ENUM_SQL = `
  SELECT n.nspname::text AS schema, t.typname::text AS name,
         ARRAY(SELECT enumlabel::text FROM pg_catalog.pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder) AS labels
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
   WHERE t.oid = pg_catalog.to_regtype($1)`;

/** $1 an enum */
const ENUM_COLUMNS_SQL = `
  SELECT pg_catalog.format('ALTER TABLE %I.%I ALTER COLUMN %I', n.nspname, c.relname, a.attname) AS alter,
         pg_catalog.quote_ident(a.attname) AS column, a.atttypid = t.typarray AS "isArray",
         pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS default
    FROM pg_catalog.pg_type t
    JOIN pg_catalog.pg_attribute a ON a.atttypid IN (t.oid, t.typarray) AND NOT a.attisdropped
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = ''
   WHERE t.oid = pg_catalog.to_regtype($1) ORDER BY 1`;

interface EnumColumn {
  readonly alter: string;
  readonly column: string;
  readonly isArray: boolean;
  readonly default: string | null;
}

/**
 * The steps, with what undoes the drop of a constraint or an index as PostgreSQL defines it. TypeORM makes it again from
 * what it read, which leaves out which columns ON DELETE SET NULL names, the order and the operator classes of an index,
 * included columns, and whether a constraint is deferrable. What takes a value away from an enum is written for all of its
 * columns, around their defaults, which TypeORM forgets.
 */
export async function withDefinitions(query: CatalogQuery, steps: readonly SqlStep[]): Promise<SqlStep[]> {
  const exact: SqlStep[] = [];
  for (const step of steps) {
    const undo = await undoOf(query, step);
    exact.push(undo === undefined ? step : { ...step, down: undo });
  }
  return exact;
}

async function undoOf(query: CatalogQuery, step: SqlStep): Promise<string[] | undefined> {
  const { effect } = parseStatement(step.up);
  if (effect?.object.startsWith('enum-value ') && step.down.length > 0)
    return withoutEnumValue(query, effect.object.slice('enum-value '.length));
  const definition = await dropped(query, step);
  return definition === undefined ? undefined : [definition];
}

async function withoutEnumValue(query: CatalogQuery, type: string): Promise<string[] | undefined> {
  const [found] = (await query(ENUM_SQL, [quoteTable(type)])) as {
    schema: string;
    name: string;
    labels: string[];
  }[];
  if (!found) return undefined;
  const columns = (await query(ENUM_COLUMNS_SQL, [quoteTable(type)])) as EnumColumn[];
  const [own, old] = [found.name, objectName(found.name, 'old')].map(
    (name) => `${quoteIdentifier(found.schema)}.${quoteIdentifier(name)}`,
  );
  return [
    `CREATE TYPE ${old} AS ENUM (${found.labels.map(quoteLiteral).join(', ')})`,
    ...columns.flatMap((one) => (one.default === null ? [] : [`${one.alter} DROP DEFAULT`])),
    ...columns.map(({ alter, column, isArray }) => {
      const suffix = isArray ? '[]' : '';
      return `${alter} TYPE ${old}${suffix} USING ${column}::text${suffix}::${old}${suffix}`;
    }),
    `DROP TYPE ${own}`,
    `ALTER TYPE ${old} RENAME TO ${quoteIdentifier(found.name)}`,
    ...columns.flatMap((one) => (one.default === null ? [] : [`${one.alter} SET DEFAULT ${one.default}`])),
  ];
}

async function dropped(query: CatalogQuery, { up, down }: SqlStep): Promise<string | undefined> {
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

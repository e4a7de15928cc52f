import { objectName, quoteIdentifier, quoteTable, type TableName } from './identifiers.js';
import { quoteRelation } from './live-index.js';

/** A column to add to a table that is in use. */
export interface TableColumn {
  /** In TypeORM's notation. */
  table: string;
  column: string;
  /** The type as SQL writes it. */
  type: string;
  /** The default of rows to come, as SQL. Rows that are there keep NULL. */
  default?: string;
}

/**
 * `ADD COLUMN`, and its default apart: together PostgreSQL would compute a volatile one for every row there is, under
 * ACCESS EXCLUSIVE.
 */
export function addNullableColumnSql({ table, column, type, default: value }: TableColumn): string[] {
  const alter = `ALTER TABLE ${quoteTable(table)}`;
  const name = quoteIdentifier(column);
  return [
    `${alter} ADD COLUMN ${name} ${type}`,
    ...(value === undefined ? [] : [`${alter} ALTER COLUMN ${name} SET DEFAULT ${value}`]),
  ];
}

/** Drops one column of a table. */
export function dropColumnSql(table: string, column: string): string {
  return `ALTER TABLE ${quoteTable(table)} DROP COLUMN ${quoteIdentifier(column)}`;
}

/** Adds a CHECK that holds for new rows at once, and for those there are when it is validated. */
export function addCheckSql(table: TableName, name: string, expression: string, valid = false): string {
  return `ALTER TABLE ${quoteRelation(table)} ADD CONSTRAINT ${quoteIdentifier(name)} CHECK (${expression})${valid ? '' : ' NOT VALID'}`;
}

/** Checks the rows that were there before the constraint, while readers and writers go on. */
export function validateConstraintSql(table: TableName, name: string): string {
  return `ALTER TABLE ${quoteRelation(table)} VALIDATE CONSTRAINT ${quoteIdentifier(name)}`;
}

/** Drops one constraint of a table. */
export function dropLiveConstraintSql(table: TableName, name: string): string {
  return `ALTER TABLE ${quoteRelation(table)} DROP CONSTRAINT ${quoteIdentifier(name)}`;
}

/** Name of the CHECK that stands in for NOT NULL while it is validated. */
export function notNullCheckName(table: string, column: string): string {
  return objectName(`${table}_${column}`, 'not_null_check');
}

/** The condition of that CHECK. */
export function notNullExpression(column: string): string {
  return `${quoteIdentifier(column)} IS NOT NULL`;
}

/** `SET NOT NULL`; with a valid CHECK that says so PostgreSQL need not scan the table. `DROP NOT NULL` reverses it. */
export function notNullSql(table: TableName, column: string, way: 'SET' | 'DROP'): string {
  return `ALTER TABLE ${quoteRelation(table)} ALTER COLUMN ${quoteIdentifier(column)} ${way} NOT NULL`;
}

/** `ADD CONSTRAINT`, of a foreign key that holds for new rows at once, and for those there are when it is validated. */
export function notValidSql(addConstraint: string): string {
  return `${addConstraint} NOT VALID`;
}

/** How many rows reference a row that does not exist, as MATCH SIMPLE sees it. */
export function countOrphansSql(
  table: string,
  referencedTable: string,
  columns: readonly { readonly column: string; readonly referencedColumn: string }[],
): string {
  const pairs = columns.map(({ column, referencedColumn }) => ({
    child: `"child".${quoteIdentifier(column)}`,
    parent: `"parent".${quoteIdentifier(referencedColumn)}`,
  }));
  return (
    `SELECT count(*)::text AS "orphans" FROM ${quoteTable(table)} AS "child" ` +
    `WHERE ${pairs.map(({ child }) => `${child} IS NOT NULL`).join(' AND ')} AND NOT EXISTS (` +
    `SELECT FROM ${quoteTable(referencedTable)} AS "parent" WHERE ${pairs.map(({ child, parent }) => `${parent} = ${child}`).join(' AND ')})`
  );
}

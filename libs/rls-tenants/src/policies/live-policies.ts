import { quoteIdentifier, quoteTable } from './identifiers.js';

/** A policy of another shape than the library's, as `check-rls --verbose` prints it. */
export interface FormerPolicy {
  /** Default: the name that the library's policy has. */
  name?: string;
  /** The rows that are seen, as SQL. */
  using: string;
  /** The rows that may be written, as SQL. Default: `using`. */
  withCheck?: string;
  /** The tenant column's default, as SQL. Default: it has none. */
  columnDefault?: string;
}

/** Gives a policy another name. */
export function renamePolicySql(table: string, from: string, to: string): string {
  return `ALTER POLICY ${quoteIdentifier(from)} ON ${quoteTable(table)} RENAME TO ${quoteIdentifier(to)}`;
}

/** Gives a policy a former policy's predicates in one statement, so that the table is never without its policy. */
export function restorePolicySql(table: string, policyName: string, former: FormerPolicy): string {
  const { using, withCheck = using } = former;
  return `ALTER POLICY ${quoteIdentifier(policyName)} ON ${quoteTable(table)} USING (${using}) WITH CHECK (${withCheck})`;
}

/** Gives a column a former default. */
export function restoreDefaultSql(table: string, column: string, value: string | undefined): string {
  const change = value === undefined ? 'DROP DEFAULT' : `SET DEFAULT ${value}`;
  return `ALTER TABLE ${quoteTable(table)} ALTER COLUMN ${quoteIdentifier(column)} ${change}`;
}

/** A statement that begins, ends or divides a transaction. What waited for it, PostgreSQL runs at a COMMIT. */
export type TransactionControl = 'commit' | 'other';

// One statement, made of nothing but words and quoted names: comments and further statements do not match. A nested
// comment could otherwise hide a query behind a COMMIT.
const TRANSACTION_CONTROL =
  /^\s*(?:START\s+TRANSACTION|BEGIN|SET\s+TRANSACTION|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE)\b(?:[\w\s,$]|"[^"]*"|'[^']*')*(?:;\s*)?$/i;

/**
 * True for a single transaction-control statement, which is sent as it is: a query in front would take a snapshot, and
 * `SET TRANSACTION ISOLATION LEVEL` then fails with 25001.
 */
export function isTransactionControl(text: string): boolean {
  return TRANSACTION_CONTROL.test(text);
}

// Comments in front, which PostgreSQL skips.
const COMMIT = /^(?:\s|--[^\r\n]*[\r\n]|\/\*[^]*?\*\/)*(?:COMMIT|END)\b(?!\s+PREPARED\b)/i;

/** True for a statement that ends a transaction with success: there PostgreSQL runs what waited for it. */
export function isCommit(text: string): boolean {
  return COMMIT.test(text);
}

/** True for a text of several statements of which one may be `ROLLBACK TO`: behind it the tenant is that of the savepoint. */
export function mayRollBackWithin(text: string): boolean {
  return text.includes(';') && /\brollback\b/i.test(text);
}

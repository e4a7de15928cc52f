import { parseSync, scanSync } from 'libpg-query';
import { MAX_IDENTIFIER_BYTES } from '../policies/index.js';
import { changesOf, type Change } from './changes.js';

/** One statement of a text. */
export interface ParsedStatement {
  readonly sql: string;
  /** Index in the text, in UTF-16 code units. */
  readonly index: number;
  readonly changes: readonly Change[];
  readonly longIdentifiers: readonly string[];
}

/**
 * Splits a text into its statements with PostgreSQL's own grammar. libpg-query's `loadModule()` must have finished.
 *
 * @throws libpg-query's SqlError if it is no SQL.
 */
export function readSql(text: string): ParsedStatement[] {
  const bytes = Buffer.from(text);
  const indexOf = (byte: number) => bytes.subarray(0, byte).toString().length;
  return (parseSync(text).stmts ?? []).map(({ stmt, stmt_location: start = 0, stmt_len: length }) => {
    const end = length ? start + length : bytes.length;
    const raw = bytes.subarray(start, end).toString();
    const margin = raw.length - raw.trimStart().length;
    const sql = raw.trim();
    return {
      sql,
      index: indexOf(start) + margin,
      changes: stmt ? changesOf(stmt) : [],
      longIdentifiers: longIdentifiersIn(sql),
    };
  });
}

/** The parser truncates identifiers as the server does, so only the tokens show how long they were. */
function longIdentifiersIn(sql: string): string[] {
  if (Buffer.byteLength(sql) <= MAX_IDENTIFIER_BYTES) return [];
  return scanSync(sql)
    .tokens.filter(({ tokenName }) => tokenName === 'IDENT')
    .map(({ text }) => (text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text))
    .filter((name) => Buffer.byteLength(name) > MAX_IDENTIFIER_BYTES);
}

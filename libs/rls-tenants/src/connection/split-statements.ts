/** One statement of a text. */
export interface StatementPart {
  readonly text: string;
  /** Characters of the whole text in front of it, as PostgreSQL counts them in an error's position. */
  readonly position: number;
}

// What may hold a semicolon that ends no statement, a semicolon, a word, or else a character. In the order in which
// PostgreSQL's own lexer tries them. A doubled quote is the end of one literal and the beginning of the next.
const TOKEN =
  /--[^\r\n]*|\/\*|[eE]'|['"]|\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|[;()]|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|\d+|\S/g;

/**
 * The statements of a text, as the simple query protocol would run them, without those that are empty. What is in
 * parentheses (`CREATE RULE … DO (…; …)`) and the bodies of SQL-standard functions (`BEGIN ATOMIC … END`) stay whole, as
 * psql takes them.
 *
 * Isolation does not depend on it: PostgreSQL refuses a part that still holds two statements.
 */
export function splitStatements(text: string): StatementPart[] {
  if (!text.includes(';')) return [{ text, position: 0 }];
  const parts: StatementPart[] = [];
  let start = 0;
  let position = 0;
  let isEmpty = true;
  let words: string[] = [];
  let bodies = 0;
  let parentheses = 0;
  const end = (at: number) => {
    const part = text.slice(start, at);
    if (!isEmpty) parts.push({ text: part, position });
    position += lengthInCharacters(part) + 1;
    start = at + 1;
    isEmpty = true;
    words = [];
    bodies = parentheses = 0;
  };
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    const [token] = match;
    const from = TOKEN.lastIndex;
    if (token.startsWith('--')) continue;
    if (token === '/*') {
      const close = endOfComment(text, from);
      TOKEN.lastIndex = close ?? text.length;
      if (close !== undefined) continue;
    } else if (token === ';' && bodies === 0 && parentheses === 0) {
      end(match.index);
      continue;
    }
    isEmpty = false;
    if (token === '(') parentheses++;
    else if (token === ')') parentheses = Math.max(0, parentheses - 1);
    else if (token === "'" || token === '"' || (token.startsWith('$') && token.length > 1))
      TOKEN.lastIndex = endOfQuoted(text, from, token);
    else if (token.endsWith("'")) TOKEN.lastIndex = endOfEscapeString(text, from);
    else if (WORD.test(token)) {
      const word = token.toLowerCase();
      if (parentheses === 0 && isRoutine(words)) {
        if (word === 'begin' || (word === 'case' && bodies > 0)) bodies++;
        else if (word === 'end' && bodies > 0) bodies--;
      }
      if (words.length < ROUTINE_WORDS) words.push(word);
    }
  }
  end(text.length);
  return parts;
}

const WORD = /^[A-Za-z_\u0080-\uffff]/;

/** `CREATE [OR REPLACE] FUNCTION | PROCEDURE`. */
const ROUTINE_WORDS = 4;

function isRoutine(words: readonly string[]): boolean {
  return words[0] === 'create' && words.some((word) => word === 'function' || word === 'procedure');
}

/** What is not closed reaches to the end. */
function endOfQuoted(text: string, from: number, quote: string): number {
  const close = text.indexOf(quote, from);
  return close < 0 ? text.length : close + quote.length;
}

/** A literal goes on behind its closing quote if the next quote is on another line, and backslashes escape there too. */
function endOfEscapeString(text: string, from: number): number {
  const edge = /\\[^]?|'(?:(?:[ \t\f\v]*(?:--[^\r\n]*)?[\r\n](?:[ \t\r\n\f\v]|--[^\r\n]*[\r\n])*)?')?/g;
  edge.lastIndex = from;
  for (let match = edge.exec(text); match; match = edge.exec(text)) {
    if (match[0] === "'") return edge.lastIndex;
  }
  return text.length;
}

/** Block comments nest. Undefined for one that is not closed. */
function endOfComment(text: string, from: number): number | undefined {
  const edge = /\/\*|\*\//g;
  edge.lastIndex = from;
  let depth = 1;
  for (let match = edge.exec(text); match; match = edge.exec(text)) {
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return edge.lastIndex;
  }
  return undefined;
}

/** As PostgreSQL counts: a pair of surrogates is one. */
function lengthInCharacters(text: string): number {
  return text.length - (text.match(/[\ud800-\udbff][\udc00-\udfff]/g)?.length ?? 0);
}

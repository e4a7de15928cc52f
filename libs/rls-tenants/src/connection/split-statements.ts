/** One statement of a text. */
export interface StatementPart {
  readonly text: string;
  /** Characters of the whole text in front of it, as PostgreSQL counts them in an error's position. */
  readonly position: number;
}

// What may hold a semicolon that ends no statement, a semicolon, or a word. In the order in which PostgreSQL's own lexer
// tries them; whatever is not closed reaches to the end.
const TOKEN =
  /--[^\r\n]*|\/\*|[eE]'(?:[^'\\]|\\[^]|'')*(?:'|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|;|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/g;

/**
 * The statements of a text, as the simple query protocol would run them, without those that are empty. The bodies of
 * SQL-standard functions (`BEGIN ATOMIC … END`) stay whole.
 *
 * Isolation does not depend on it: PostgreSQL refuses a part that still holds two statements.
 */
export function splitStatements(text: string): StatementPart[] {
  if (!text.includes(';')) return [{ text, position: 0 }];
  const parts: StatementPart[] = [];
  let start = 0;
  let words: string[] = [];
  let depth = 0;
  const end = (at: number) => {
    if (words.length > 0 || /\S/.test(withoutComments(text.slice(start, at))))
      parts.push({ text: text.slice(start, at), position: Array.from(text.slice(0, start)).length });
    start = at + 1;
    words = [];
    depth = 0;
  };
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    const [token] = match;
    if (token === ';') {
      if (depth === 0) end(match.index);
    } else if (token === '/*') {
      TOKEN.lastIndex = endOfComment(text, TOKEN.lastIndex);
    } else if (token.startsWith('$')) {
      const close = text.indexOf(token, TOKEN.lastIndex);
      TOKEN.lastIndex = close < 0 ? text.length : close + token.length;
    } else if (/^[A-Za-z_\u0080-\uffff][^']*$/.test(token)) {
      const word = token.toLowerCase();
      if (word === 'begin' && isRoutine(words)) depth++;
      else if (word === 'case' && depth > 0) depth++;
      else if (word === 'end' && depth > 0) depth--;
      if (words.length < ROUTINE_WORDS) words.push(word);
    }
  }
  end(text.length);
  return parts;
}

/** `CREATE [OR REPLACE] FUNCTION | PROCEDURE`. */
const ROUTINE_WORDS = 4;

function isRoutine(words: readonly string[]): boolean {
  return words[0] === 'create' && words.some((word) => word === 'function' || word === 'procedure');
}

/** Block comments nest. */
function endOfComment(text: string, from: number): number {
  const edge = /\/\*|\*\//g;
  edge.lastIndex = from;
  let depth = 1;
  for (let match = edge.exec(text); match; match = edge.exec(text)) {
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return edge.lastIndex;
  }
  return text.length;
}

function withoutComments(text: string): string {
  let rest = text.replace(/--[^\r\n]*/g, '');
  for (let at = rest.indexOf('/*'); at >= 0; at = rest.indexOf('/*')) {
    rest = rest.slice(0, at) + rest.slice(endOfComment(rest, at + 2));
  }
  return rest;
}

import type ts from 'typescript';
import type { TypeScript } from './typescript.js';

/** A text put together from literals, with the place in the file where each of its characters stands. */
export interface SqlText {
  readonly text: string;
  /** Offset in the file of each UTF-16 code unit of `text`. */
  readonly offsets: readonly number[];
}

/** Initializers of the `const` variables of a file, by name. */
export type Constants = ReadonlyMap<string, ts.Expression>;

/** The constants of a file's top level and of its functions; a name declared twice is unknown. */
export function constantsOf(ts: TypeScript, source: ts.SourceFile): Constants {
  const constants = new Map<string, ts.Expression>();
  const ambiguous = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name)) {
      const name = node.name.text;
      const isConst = (ts.getCombinedNodeFlags(node) & ts.NodeFlags.Const) !== 0;
      if (constants.has(name) || !isConst || !node.initializer) ambiguous.add(name);
      else constants.set(name, node.initializer);
    }
    if (ts.isParameter(node) && ts.isIdentifier(node.name)) ambiguous.add(node.name.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  for (const name of ambiguous) constants.delete(name);
  return constants;
}

/**
 * The text that an expression is certain to have: a literal, a template or a sum of such, constants of the file
 * included. Undefined if it depends on anything else.
 */
export function textOf(ts: TypeScript, expression: ts.Expression, constants: Constants): SqlText | undefined {
  const resolve = (node: ts.Expression, seen: ReadonlySet<string>): SqlText | undefined => {
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) {
      return literal(node.getText().slice(1, -1), node.getStart() + 1);
    }
    if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node) || ts.isSatisfiesExpression(node)) {
      return resolve(node.expression, seen);
    }
    if (ts.isIdentifier(node)) {
      const initializer = constants.get(node.text);
      return initializer && !seen.has(node.text)
        ? resolve(initializer, new Set([...seen, node.text]))
        : undefined;
    }
    if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
      return concat([resolve(node.left, seen), resolve(node.right, seen)]);
    }
    if (ts.isTemplateExpression(node)) {
      return concat([
        templatePart(node.head, 2),
        ...node.templateSpans.flatMap((span) => [
          resolve(span.expression, seen),
          templatePart(span.literal, ts.isTemplateTail(span.literal) ? 1 : 2),
        ]),
      ]);
    }
    return undefined;
  };
  return resolve(expression, new Set());
}

function templatePart(node: ts.TemplateHead | ts.TemplateMiddle | ts.TemplateTail, tail: number): SqlText {
  return literal(node.getText().slice(1, -tail), node.getStart() + 1);
}

function concat(parts: readonly (SqlText | undefined)[]): SqlText | undefined {
  if (parts.includes(undefined)) return undefined;
  const known = parts as SqlText[];
  return { text: known.map(({ text }) => text).join(''), offsets: known.flatMap(({ offsets }) => offsets) };
}

const ESCAPE = /\\(?:u\{([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|\r\n|[^])|\r\n|[^]/g;
const SIMPLE: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  f: '\f',
  v: '\v',
  '0': '\0',
};

/** Undoes the escapes of a literal's source text, keeping track of places. */
function literal(raw: string, start: number): SqlText {
  let text = '';
  const offsets: number[] = [];
  for (const match of raw.matchAll(ESCAPE)) {
    const [token, braced, four, two] = match;
    const code = braced ?? four ?? two;
    const cooked = code === undefined ? unescaped(token) : String.fromCodePoint(Number.parseInt(code, 16));
    text += cooked;
    for (let unit = 0; unit < cooked.length; unit++) offsets.push(start + match.index);
  }
  return { text, offsets };
}

function unescaped(token: string): string {
  // A line break in a template is one character, whatever the file has; after a backslash it is none.
  if (token === '\r\n') return '\n';
  if (!token.startsWith('\\')) return token;
  const escaped = token.slice(1);
  if (escaped === '\n' || escaped === '\r\n') return '';
  return SIMPLE[escaped] ?? escaped;
}

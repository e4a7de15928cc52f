import type { Change } from '../lint/changes.js';
import { quoteIdentifier } from '../policies/index.js';
import { parseStatement, replaceTokens, tokensOf, type Token } from './statement.js';
import { originsOf, type SqlStep, type Step } from './step.js';

/** A column that gets another name. */
interface RenamedColumn {
  readonly table: string;
  readonly from: string;
  readonly to: string;
}

/**
 * The steps, with what brings dropped constraints and indexes back under the new names of their columns. Drops run in files
 * after the one that renames, and so they are undone before the old names are there again. libpg-query's `loadModule()`
 * must have finished.
 */
export function withRenamedColumns(steps: readonly Step[]): Step[] {
  const renamed = steps.flatMap((step) => (step.kind === 'sql' ? renamesOf(step.up) : []));
  if (renamed.length === 0) return [...steps];
  return steps.map((step) => (step.kind === 'sql' && isDrop(step) ? undoneAfter(step, renamed) : step));
}

function renamesOf(sql: string): RenamedColumn[] {
  return parseStatement(sql).changes.flatMap((change: Change) =>
    change.kind === 'rename' && change.object === 'column' && change.table !== undefined
      ? [{ table: change.table, from: change.from, to: change.to }]
      : [],
  );
}

function isDrop({ up }: SqlStep): boolean {
  const { verb, object = '' } = parseStatement(up).effect ?? {};
  return verb === 'drop' && /^(?:constraint|index) /.test(object);
}

function undoneAfter(step: SqlStep, renamed: readonly RenamedColumn[]): SqlStep {
  const down = step.down.map((sql) => withNewNames(sql, renamed));
  return down.every((sql, index) => sql === step.down[index])
    ? step
    : { ...step, down, origins: originsOf(step) };
}

/** Columns stand in parentheses, and those between REFERENCES and ON are the other table's. */
function withNewNames(sql: string, renamed: readonly RenamedColumn[]): string {
  const { table, changes } = parseStatement(sql);
  const [change] = changes;
  const other = change?.kind === 'add-constraint' ? change.constraint.references : undefined;
  const tokens = tokensOf(sql);
  const places = tokens.filter(({ depth }) => depth === 0);
  const from = places.find(({ text }) => text.toUpperCase() === 'REFERENCES')?.start ?? Infinity;
  const to = places.find(({ text, start }) => start > from && text.toUpperCase() === 'ON')?.start ?? Infinity;
  return replaceTokens(sql, (token) => {
    const index = tokens.findIndex(({ start }) => start === token.start);
    if (token.depth === 0 || !isName(token) || tokens[index - 1]?.text === '::') return undefined;
    if (tokens[index + 1]?.text === '(') return undefined;
    const owner = token.start > from && token.start < to ? other : table;
    const found = renamed.find((one) => sameTable(one.table, owner) && one.from === nameOf(token));
    return found && quoteIdentifier(found.to);
  });
}

/** pg_get_indexdef() writes the schema, TypeORM does not where it is the connection's own. */
function sameTable(one: string, other: string | undefined): boolean {
  if (other === undefined) return false;
  const isShort = !one.includes('.') || !other.includes('.');
  return isShort ? one.split('.').at(-1) === other.split('.').at(-1) : one === other;
}

function isName({ kind, text }: Token): boolean {
  return kind !== 'SCONST' && /^(?:"|[a-z_])/i.test(text);
}

function nameOf({ text }: Token): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text.toLowerCase();
}

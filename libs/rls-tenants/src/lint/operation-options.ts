import { parseSync, scanSync, type Constraint, type IndexElem, type IndexStmt } from 'libpg-query';
import type { ChangeOf } from './changes.js';

/** What `concurrentIndex` and `partitionedIndex` are told. */
export interface IndexOptions {
  readonly table: string;
  readonly name: string;
  readonly columns: readonly string[];
  readonly unique?: true;
  readonly where?: string;
  readonly method?: string;
}

/** The options of an operation that make the same index; undefined if they cannot say all that the SQL says. */
export function indexOptions(
  sql: string,
  { table, method, unique }: ChangeOf<'create-index'>,
  name: string,
): IndexOptions | undefined {
  const statement = parseSync(sql).stmts?.[0]?.stmt;
  if (!statement || !('IndexStmt' in statement)) return undefined;
  const { indexParams = [], ...index } = statement.IndexStmt;
  const columns = indexParams.flatMap((param) => ('IndexElem' in param ? plainColumn(param.IndexElem) : []));
  if (columns.length < indexParams.length || saysMore(index)) return undefined;
  return {
    table,
    name,
    columns,
    ...(unique && { unique }),
    ...(index.whereClause && { where: textAfterWhere(sql) }),
    ...(method !== 'btree' && { method }),
  };
}

function plainColumn({ name, opclass, collation, ordering, nulls_ordering: nulls }: IndexElem): string[] {
  const isPlain = !opclass && !collation && ordering === 'SORTBY_DEFAULT' && nulls === 'SORTBY_NULLS_DEFAULT';
  return isPlain && name !== undefined ? [name] : [];
}

function saysMore(index: IndexStmt): boolean {
  return Boolean(index.indexIncludingParams || index.options || index.tableSpace || index.nulls_not_distinct);
}

function textAfterWhere(sql: string): string {
  let depth = 0;
  const where = scanSync(sql).tokens.find(({ text }) => {
    if (text === '(') depth++;
    if (text === ')') depth--;
    return depth === 0 && text.toUpperCase() === 'WHERE';
  });
  return Buffer.from(sql).subarray(where!.end).toString().trim();
}

/** True if the statement adds one unique constraint, and nothing that `uniqueConstraint` is not told. */
export function isPlainUnique(sql: string): boolean {
  const constraint = onlyConstraint(sql);
  if (constraint?.contype !== 'CONSTR_UNIQUE') return false;
  const { deferrable, including, options, nulls_not_distinct: nulls } = constraint;
  return !deferrable && !including && !options && !nulls;
}

/** The condition of the one CHECK constraint that the statement adds, if `checkConstraint` can be told all of it. */
export function checkExpression(sql: string): string | undefined {
  const constraint = onlyConstraint(sql);
  if (constraint?.contype !== 'CONSTR_CHECK' || constraint.is_no_inherit) return undefined;
  const { tokens } = scanSync(sql);
  const check = tokens.findIndex(({ text }) => text.toUpperCase() === 'CHECK');
  let depth = 0;
  const close = tokens.slice(check + 1).find(({ text }) => {
    if (text === '(') depth++;
    if (text === ')') depth--;
    return depth === 0;
  });
  return Buffer.from(sql)
    .subarray(tokens[check + 1]!.end, close!.start)
    .toString()
    .trim();
}

/** The constraint that an ALTER TABLE adds, if it does nothing else. */
function onlyConstraint(sql: string): Constraint | undefined {
  const statement = parseSync(sql).stmts?.[0]?.stmt;
  if (!statement || !('AlterTableStmt' in statement)) return undefined;
  const [command, ...others] = statement.AlterTableStmt.cmds ?? [];
  const def = command && 'AlterTableCmd' in command ? command.AlterTableCmd.def : undefined;
  return others.length === 0 && def && 'Constraint' in def ? def.Constraint : undefined;
}

/** A value as TypeScript writes it. */
export function typeScriptOf(value: unknown): string {
  if (typeof value === 'string') {
    return `'${JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
  }
  if (Array.isArray(value)) return `[${value.map(typeScriptOf).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    return `{ ${Object.entries(value)
      .map(([key, one]) => `${key}: ${typeScriptOf(one)}`)
      .join(', ')} }`;
  }
  return String(value);
}

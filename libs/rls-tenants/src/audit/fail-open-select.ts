import { conjunctsOf, isNode, namesOf, type Tree, type TreeNode } from './policy-expression.js';

// The parts of a sub-select's tree that fail-open.ts asks for.

/** A relation of a FROM clause. */
export interface Range {
  readonly alias: string;
  readonly schema: string | undefined;
  readonly name: string;
}

/** The relations of an item of a FROM clause; undefined for what is no relation, such as a function. */
export function rangesOf(item: Tree): (Range | undefined)[] {
  if (!isNode(item)) return [undefined];
  if (isNode(item.JoinExpr)) {
    const { larg, rarg } = item.JoinExpr;
    return [...rangesOf(larg), ...rangesOf(rarg)];
  }
  const range = item.RangeVar;
  if (!isNode(range)) return [undefined];
  const name = range.relname as string;
  const alias = isNode(range.alias) ? (range.alias.aliasname as string) : name;
  return [{ alias, name, schema: range.schemaname as string | undefined }];
}

/** The operands of WHERE's outermost AND, and of the inner joins' ON. */
export function conditionsOf(select: TreeNode): Tree[] {
  const joins = ((select.fromClause ?? []) as Tree[]).flatMap(joinConditions);
  return [...(select.whereClause === undefined ? [] : conjunctsOf(select.whereClause)), ...joins];
}

/** Only what every row must fulfil: not what is on the side that an outer join fills up with NULL. */
function joinConditions(item: Tree): Tree[] {
  if (!isNode(item) || !isNode(item.JoinExpr)) return [];
  const { larg, rarg, quals, jointype } = item.JoinExpr;
  if (jointype === 'JOIN_LEFT') return joinConditions(larg);
  if (jointype === 'JOIN_RIGHT') return joinConditions(rarg);
  if (jointype !== 'JOIN_INNER') return [];
  const own = quals === undefined ? [] : conjunctsOf(quals);
  return [...own, ...joinConditions(larg), ...joinConditions(rarg)];
}

/** The sides of `left = right`, as a list of one pair; undefined for everything else. */
export function equality(tree: Tree): [[Tree, Tree]] | undefined {
  const expression = isNode(tree) ? tree.A_Expr : undefined;
  if (!isNode(expression) || expression.kind !== 'AEXPR_OP' || namesOf(expression.name).join('.') !== '=')
    return undefined;
  return [[expression.lexpr, expression.rexpr]];
}

/** The parts of a column's name, casts aside; undefined for everything else. */
export function columnFields(tree: Tree): string[] | undefined {
  if (!isNode(tree)) return undefined;
  if (isNode(tree.TypeCast)) return columnFields(tree.TypeCast.arg);
  return isNode(tree.ColumnRef) ? namesOf(tree.ColumnRef.fields) : undefined;
}

/**
 * No set operation, CTE, grouping or row limit: those decide about rows in ways that are not followed. Nor a function
 * over a table's rows, which may be an aggregate: it gives a row where there are none.
 */
export function isPlain(select: TreeNode): boolean {
  const others = ['withClause', 'groupClause', 'havingClause', 'valuesLists', 'limitOffset'];
  const calls = select.fromClause !== undefined && JSON.stringify(select.targetList).includes('"FuncCall"');
  return select.op === 'SETOP_NONE' && !calls && others.every((key) => select[key] === undefined);
}

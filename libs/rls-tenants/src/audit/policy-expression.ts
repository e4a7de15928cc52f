import { parseSync } from 'libpg-query';

// What rules ask of an expression of the catalog (a policy's USING or WITH CHECK, a column's default, a check), on
// PostgreSQL's own parse. To compare a predicate with what the library generates there is predicate.ts.

/** One call of `current_setting`. */
export interface SettingRead {
  /** Undefined where the name is computed. */
  readonly name: string | undefined;
  /** The second argument is true: NULL instead of an error where the setting was never set. */
  readonly missingOk: boolean;
  /** Directly within `NULLIF(…, '')`. */
  readonly nullif: boolean;
  /** Outside of a sub-select, or in one that refers to the row: evaluated for each row of a scan. */
  readonly perRow: boolean;
}

/** One call of a function that is not an operator. */
export interface FunctionCall {
  /** Undefined for pg_catalog's. */
  readonly schema: string | undefined;
  readonly name: string;
  readonly perRow: boolean;
}

/** A comparison with a column of the policy's own table on one side. */
export interface ColumnComparison {
  readonly column: string;
  /** `=`, `<>`, `~~` (LIKE), `IS DISTINCT FROM`, `IS NOT DISTINCT FROM`, `= ANY`, … */
  readonly operator: string;
  /** The operator is for elements, and the other side is `ARRAY[…]` of one: plain equality in another form. */
  readonly ofOne: boolean;
  /** The column stands alone, without a cast or a function around it. */
  readonly bare: boolean;
  /** An operand of the outermost AND, or the whole expression. */
  readonly conjunct: boolean;
  /** The other side is a literal, casts aside. */
  readonly constant: boolean;
  /** That literal's text. */
  readonly constantText: string | undefined;
  /** What the other side reads. */
  readonly settings: readonly SettingRead[];
  readonly functions: readonly FunctionCall[];
  /** `CURRENT_USER` and the like on the other side. */
  readonly identities: readonly string[];
  /** Columns of the table on the other side: no tenant's context alone. */
  readonly otherColumns: readonly string[];
}

/** An expression, parsed once. Get it from `DatabaseAudit.expression()`, which keeps it. */
export interface PolicyExpression {
  readonly text: string;
  /** Why it could not be parsed; everything else is then empty, and a rule must not take that for harmless. */
  readonly unreadable: string | undefined;
  /** True, false or null for constants (`true`, `1 = 1`, `NULL`), undefined for what depends on anything. */
  readonly constant: boolean | null | undefined;
  readonly settings: readonly SettingRead[];
  readonly functions: readonly FunctionCall[];
  readonly comparisons: readonly ColumnComparison[];
  /** Columns of the table it is on, those that a sub-select refers to included. */
  readonly columns: ReadonlySet<string>;
  /** Relations that sub-selects read. */
  readonly relations: readonly { readonly schema: string | undefined; readonly name: string }[];
  /** `current_user`, `session_user`, `user`, `current_role`. */
  readonly identities: readonly string[];
  readonly hasOr: boolean;
  readonly hasCase: boolean;
  readonly hasCoalesce: boolean;
  /** `IS NULL` or `IS NOT NULL`. */
  readonly hasNullTest: boolean;
  readonly hasSubselect: boolean;
  /** The parse: `SELECT <text>`'s only target, as libpg-query gives it. Undefined if unreadable. */
  readonly tree: Tree;
}

/** A parse tree as plain JSON. */
export type Tree = string | number | boolean | null | undefined | Tree[] | TreeNode;
export interface TreeNode {
  [key: string]: Tree;
}

/**
 * Parses an expression of the catalog, read under a search path of pg_catalog only. libpg-query's `loadModule()` must
 * have finished.
 *
 * @param table name of the table it is on, without schema: sub-selects qualify its columns with it.
 */
export function parseExpression(text: string, table: string): PolicyExpression {
  // A text that does not name the table says the same about every table. A quote in a name is doubled in the text.
  if (text.includes(table) || table.includes('"')) return expressionOf(text, table);
  return remembered(EXPRESSIONS, text, () => expressionOf(text, table));
}

function expressionOf(text: string, table: string): PolicyExpression {
  let found = new Collector(table);
  let tree: Tree;
  let unreadable: string | undefined;
  try {
    tree = targetOf(text);
    found = new Collector(table, new Set(conjunctsOf(tree).map((one) => (isNode(one) ? one.A_Expr : one))));
    found.visit(tree, AT_THE_TOP);
  } catch (error) {
    unreadable = error instanceof Error ? error.message : String(error);
  }
  return {
    text,
    unreadable,
    tree,
    constant: unreadable === undefined ? constantOf(tree) : undefined,
    settings: found.settings,
    functions: found.functions,
    comparisons: found.comparisons,
    columns: found.columns,
    relations: found.relations,
    identities: found.identities,
    hasOr: found.kinds.has('OR_EXPR'),
    hasCase: found.kinds.has('CaseExpr'),
    hasCoalesce: found.kinds.has('CoalesceExpr'),
    hasNullTest: found.kinds.has('NullTest'),
    hasSubselect: found.kinds.has('SubLink'),
  };
}

/** The operands of the outermost AND, nested ones flattened. */
export function conjunctsOf(tree: Tree): Tree[] {
  if (isNode(tree) && isNode(tree.BoolExpr) && tree.BoolExpr.boolop === 'AND_EXPR')
    return (tree.BoolExpr.args as Tree[]).flatMap(conjunctsOf);
  return [tree];
}

export function isNode(tree: Tree): tree is TreeNode {
  return typeof tree === 'object' && tree !== null && !Array.isArray(tree);
}

function targetOf(text: string): Tree {
  const select = parseSelect(text);
  const targets = isNode(select) ? (select.targetList as TreeNode[] | undefined) : undefined;
  if (targets?.length !== 1) throw new Error('it is not one expression');
  return (targets[0]!.ResTarget as TreeNode).val;
}

/** `SELECT <text>` as one statement, which callers must not change; undefined if it is anything else. Throws on syntax. */
export function parseSelect(text: string): Tree {
  return remembered(SELECTS, text, () => {
    const { stmts = [] } = parseSync(`SELECT ${text}`);
    return stmts.length === 1 ? (stmts[0]!.stmt as unknown as TreeNode).SelectStmt : undefined;
  });
}

// Tables by the hundred have policies of the same few texts, and parsing is what takes the time of an audit.
const SELECTS = new Map<string, Tree>();
const EXPRESSIONS = new Map<string, PolicyExpression>();
const MAX_REMEMBERED = 1_000;

function remembered<Value>(known: Map<string, Value>, text: string, make: () => Value): Value {
  const found = known.get(text) ?? make();
  if (known.size >= MAX_REMEMBERED) known.clear();
  known.set(text, found);
  return found;
}

interface Place {
  readonly subselect: boolean;
  readonly perRow: boolean;
  readonly nullif: boolean;
}

const AT_THE_TOP: Place = { subselect: false, perRow: true, nullif: false };

/** Gathers what the tree mentions, in one walk. */
class Collector {
  readonly settings: SettingRead[] = [];
  readonly functions: FunctionCall[] = [];
  readonly comparisons: ColumnComparison[] = [];
  readonly columns = new Set<string>();
  readonly relations: { schema: string | undefined; name: string }[] = [];
  readonly identities: string[] = [];
  readonly kinds = new Set<string>();

  constructor(
    private readonly table: string,
    private readonly conjuncts: ReadonlySet<Tree> = new Set(),
  ) {}

  visit(tree: Tree, place: Place): void {
    if (Array.isArray(tree)) {
      for (const child of tree) this.visit(child, place);
    } else if (isNode(tree)) {
      for (const [kind, node] of Object.entries(tree)) this.node(kind, node, place);
    }
  }

  private node(kind: string, node: Tree, place: Place): void {
    if (!isNode(node)) return this.visit(node, place);
    this.kinds.add(kind === 'BoolExpr' ? (node.boolop as string) : kind);
    switch (kind) {
      case 'ColumnRef':
        this.columnRef(node, place);
        return;
      case 'RangeVar':
        this.relations.push({ schema: node.schemaname as string | undefined, name: node.relname as string });
        return;
      case 'SQLValueFunction':
        this.identity(node);
        return;
      case 'FuncCall':
        this.call(node, place);
        return this.visit(node.args, { ...place, nullif: false });
      case 'SubLink':
        this.visit(node.testexpr, place);
        return this.visit(node.subselect, { ...place, subselect: true, perRow: this.isCorrelated(node) });
      case 'A_Expr':
        if (!place.subselect && !isNullif(node)) this.compare(node);
        return this.visit(node, { ...place, nullif: isNullif(node) });
      default:
        // Kinds of nodes are capitalized, their fields are not.
        this.visit(node, { ...place, nullif: place.nullif && (kind === 'TypeCast' || !/^[A-Z]/.test(kind)) });
    }
  }

  private columnRef(node: TreeNode, { subselect }: Place): void {
    const column = this.ownColumn(node, subselect);
    if (column !== undefined) this.columns.add(column);
  }

  /** Within a sub-select the deparser qualifies every column of the table it is in. */
  private ownColumn(ref: TreeNode, subselect: boolean): string | undefined {
    const fields = namesOf(ref.fields);
    if (fields.length === 0) return undefined;
    const [column, qualifier] = fields.toReversed();
    if (qualifier === undefined) return subselect ? undefined : column;
    return qualifier === this.table ? column : undefined;
  }

  private isCorrelated(sublink: TreeNode): boolean {
    const inner = new Collector(this.table);
    inner.visit(sublink.subselect, { subselect: true, perRow: false, nullif: false });
    return inner.columns.size > 0;
  }

  private call(node: TreeNode, { perRow, nullif }: Place): void {
    const [name, schema] = namesOf(node.funcname).toReversed();
    const own = schema === 'pg_catalog' ? undefined : schema;
    this.functions.push({ schema: own, name: name!, perRow });
    if (own !== undefined || name !== 'current_setting') return;
    const [setting, missing] = (node.args as Tree[] | undefined) ?? [];
    this.settings.push({
      name: stringOf(setting),
      missingOk: constantOf(missing) === true,
      nullif,
      perRow,
    });
  }

  private identity({ op }: TreeNode): void {
    const name = IDENTITIES[op as string];
    if (name !== undefined) this.identities.push(name);
  }

  private compare(expression: TreeNode): void {
    const operator = operatorOf(expression);
    for (const [side, other] of [
      [expression.lexpr, expression.rexpr],
      [expression.rexpr, expression.lexpr],
    ]) {
      const column = this.columnOf(side);
      if (column === undefined) continue;
      this.comparisons.push({
        ...this.comparison(column, operator, other),
        ofOne: isArrayOfOne(other),
        conjunct: this.conjuncts.has(expression),
      });
    }
  }

  private comparison(
    { column, bare }: { column: string; bare: boolean },
    operator: string,
    other: Tree,
  ): Omit<ColumnComparison, 'conjunct' | 'ofOne'> {
    const read = new Collector(this.table);
    read.visit(other, AT_THE_TOP);
    return {
      column,
      operator,
      bare,
      constant: isLiteral(other),
      constantText: stringOf(other),
      settings: read.settings,
      functions: read.functions,
      identities: read.identities,
      otherColumns: [...read.columns],
    };
  }

  /** The only own column of one side, and whether it stands alone. */
  private columnOf(side: Tree): { column: string; bare: boolean } | undefined {
    if (isNode(side) && isNode(side.ColumnRef)) {
      const column = this.ownColumn(side.ColumnRef, false);
      return column === undefined ? undefined : { column, bare: true };
    }
    const read = new Collector(this.table);
    read.visit(side, AT_THE_TOP);
    const [column] = read.columns;
    return column !== undefined && read.columns.size === 1 && !read.kinds.has('SubLink')
      ? { column, bare: false }
      : undefined;
  }
}

const IDENTITIES: Readonly<Record<string, string>> = {
  SVFOP_CURRENT_USER: 'current_user',
  SVFOP_CURRENT_ROLE: 'current_role',
  SVFOP_SESSION_USER: 'session_user',
  SVFOP_USER: 'user',
};

function isNullif(expression: TreeNode): boolean {
  return expression.kind === 'AEXPR_NULLIF' && stringOf(expression.rexpr) === '';
}

function isArrayOfOne(tree: Tree): boolean {
  const array = isNode(tree) ? tree.A_ArrayExpr : undefined;
  return isNode(array) && (array.elements as Tree[] | undefined)?.length === 1;
}

function operatorOf(expression: TreeNode): string {
  const name = namesOf(expression.name).at(-1) ?? '';
  switch (expression.kind) {
    case 'AEXPR_DISTINCT':
      return 'IS DISTINCT FROM';
    case 'AEXPR_NOT_DISTINCT':
      return 'IS NOT DISTINCT FROM';
    case 'AEXPR_OP_ANY':
      return `${name} ANY`;
    case 'AEXPR_OP_ALL':
      return `${name} ALL`;
    case 'AEXPR_IN':
      return name === '=' ? 'IN' : 'NOT IN';
    default:
      return name;
  }
}

/** The strings of a list of names, such as a qualified column's. */
export function namesOf(list: Tree): string[] {
  return ((list ?? []) as TreeNode[]).flatMap((item) =>
    isNode(item.String) ? [(item.String.sval as string | undefined) ?? ''] : [],
  );
}

function withoutCasts(tree: Tree): Tree {
  return isNode(tree) && isNode(tree.TypeCast) ? withoutCasts(tree.TypeCast.arg) : tree;
}

/** A literal's value as its text, casts aside; undefined for everything else. */
function literalOf(tree: Tree): string | boolean | null | undefined {
  const bare = withoutCasts(tree);
  const constant = isNode(bare) ? bare.A_Const : undefined;
  if (!isNode(constant)) return undefined;
  if (constant.isnull === true) return null;
  // The JSON of protocol buffers leaves out what is false, zero or empty.
  if (isNode(constant.boolval)) return constant.boolval.boolval === true;
  if (isNode(constant.sval)) return (constant.sval.sval as string | undefined) ?? '';
  if (isNode(constant.ival)) return String((constant.ival.ival as number | undefined) ?? 0);
  return isNode(constant.fval) ? (constant.fval.fval as string) : undefined;
}

function isLiteral(tree: Tree): boolean {
  return literalOf(tree) !== undefined;
}

function stringOf(tree: Tree): string | undefined {
  const value = literalOf(tree);
  return typeof value === 'string' ? value : undefined;
}

/** Folds what people write for true and false: `true`, `NOT false`, `1 = 1`, `true AND …`, a sub-select around it. */
function constantOf(tree: Tree): boolean | null | undefined {
  const bare = withoutCasts(tree);
  if (!isNode(bare)) return undefined;
  const literal = literalOf(bare);
  if (literal === null || typeof literal === 'boolean') return literal;
  if (isNode(bare.BoolExpr))
    return logic(bare.BoolExpr.boolop as string, (bare.BoolExpr.args as Tree[]).map(constantOf));
  if (isNode(bare.A_Expr) && bare.A_Expr.kind === 'AEXPR_OP') {
    const [left, right] = [literalOf(bare.A_Expr.lexpr), literalOf(bare.A_Expr.rexpr)];
    if (left === undefined || right === undefined) return undefined;
    if (left === null || right === null) return null;
    const operator = operatorOf(bare.A_Expr);
    if (operator === '=') return left === right;
    return operator === '<>' ? left !== right : undefined;
  }
  return undefined;
}

/** Three-valued; undefined is "depends". */
function logic(operator: string, args: (boolean | null | undefined)[]): boolean | null | undefined {
  if (operator === 'NOT_EXPR') return typeof args[0] === 'boolean' ? !args[0] : args[0];
  const decisive = operator === 'OR_EXPR';
  if (args.includes(decisive)) return decisive;
  if (args.includes(undefined)) return undefined;
  return args.includes(null) ? null : !decisive;
}

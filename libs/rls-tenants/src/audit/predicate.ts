import { parseSelect } from './policy-expression.js';

/** What a predicate's names mean: the columns of a relation, by the relation's name as the predicate writes it. */
export interface PredicateRelation {
  readonly schema: string;
  readonly name: string;
  /** PostgreSQL type names by column. */
  readonly columns: ReadonlyMap<string, { readonly type: string }>;
}

/** The names a predicate may use. */
export interface PredicateScope {
  /** The table that the policy is on. */
  readonly table: PredicateRelation;
  /** A relation that a sub-select names, with or without its schema; undefined if it must not. */
  relation(schema: string | undefined, name: string): PredicateRelation | undefined;
}

/** A predicate in a form in which equal predicates are equal texts. */
interface CanonicalPredicate {
  readonly text: string;
  /** The operands of its outermost AND, or the predicate itself. */
  readonly conjuncts: readonly string[];
}

/**
 * Why the `live` predicate (as `pg_get_expr` gives it under a search path of pg_catalog only) is not the `expected`
 * one, or undefined if PostgreSQL evaluates both in the same way. Both are parsed with PostgreSQL's own grammar and
 * compared as trees, after removing what PostgreSQL's deparser adds and nothing else: positions, casts of string
 * constants and of varchar columns to text, column aliases, qualification (`pg_catalog.` too). What cannot be read is different.
 *
 * libpg-query's `loadModule()` must have finished.
 */
export function predicateDifference(
  live: string | null,
  expected: string,
  scope: PredicateScope,
): string | undefined {
  return compare(live, expected, scope, (actual, wanted) => actual.text === wanted.text);
}

/** Like {@link predicateDifference}, but content with a predicate that admits fewer rows: `expected AND …`. */
export function widening(live: string | null, expected: string, scope: PredicateScope): string | undefined {
  return compare(live, expected, scope, (actual, wanted) =>
    wanted.conjuncts.every((one) => actual.conjuncts.includes(one)),
  );
}

function compare(
  live: string | null,
  expected: string,
  scope: PredicateScope,
  matches: (actual: CanonicalPredicate, wanted: CanonicalPredicate) => boolean,
): string | undefined {
  if (live === null) return 'there is none';
  try {
    return matches(canonical(live, scope), canonical(expected, scope)) ? undefined : `it is ${live}`;
  } catch (error) {
    return `it cannot be compared (${error instanceof Error ? error.message : String(error)}): ${live}`;
  }
}

function canonical(predicate: string, scope: PredicateScope): CanonicalPredicate {
  const tree = new Canonicalizer(scope).expression(parsePredicate(predicate));
  const conjuncts =
    isNode(tree) && isNode(tree.BoolExpr) && tree.BoolExpr.boolop === 'AND_EXPR'
      ? (tree.BoolExpr.args as Tree[])
      : [tree];
  return { text: JSON.stringify(tree), conjuncts: conjuncts.map((conjunct) => JSON.stringify(conjunct)) };
}

// The tree is read as plain JSON: its node types are many, and every one not named below must be compared as it is.
type Tree = string | number | boolean | null | undefined | Tree[] | Node;
interface Node {
  [key: string]: Tree;
}

function parsePredicate(predicate: string): Tree {
  const select = parseSelect(predicate);
  if (!isNode(select)) throw new Error('it is not one expression');
  const { targetList, limitOption: _limitOption, op: _op, ...rest } = select;
  if (!Array.isArray(targetList) || targetList.length !== 1 || Object.keys(rest).length > 0)
    throw new Error('it is not one expression');
  const target = (targetList[0] as Node).ResTarget as Node;
  if (target.name !== undefined) throw new Error('it is not one expression');
  return target.val;
}

/** One relation in scope: a number of its own (the same relation may be there twice) and what it may be called. */
interface Instance {
  readonly number: number;
  readonly alias: string;
  /** Undefined where an alias hides the schema. */
  readonly schema: string | undefined;
  readonly relation: PredicateRelation;
}

/** Rewrites a tree so that two spellings of one predicate become one; keeps everything it does not know. */
class Canonicalizer {
  private instances = 0;
  /** Innermost last, as PostgreSQL resolves names. */
  private readonly levels: Instance[][];

  constructor(private readonly scope: PredicateScope) {
    this.levels = [[this.instance(scope.table.name, scope.table.schema, scope.table)]];
  }

  expression(tree: Tree): Tree {
    if (Array.isArray(tree)) return tree.map((child) => this.expression(child));
    if (!isNode(tree)) return tree;
    if (isNode(tree.ColumnRef)) return this.columnRef(tree.ColumnRef);
    if (isNode(tree.SelectStmt)) return this.select(tree.SelectStmt);
    if (isNode(tree.TypeCast)) return this.typeCast(tree.TypeCast);
    if (isNode(tree.FuncCall)) return this.call(tree.FuncCall);
    if (isNode(tree.BoolExpr) && tree.BoolExpr.boolop === 'AND_EXPR')
      return this.conjunction(tree.BoolExpr.args as Tree[]);
    return this.copy(tree);
  }

  private copy(node: Node): Node {
    const copy: Node = {};
    for (const key of Object.keys(node).sort()) {
      if (!POSITIONS.has(key)) copy[key] = this.expression(node[key]);
    }
    return copy;
  }

  /** AND is associative; the deparser's parentheses and the grammar's nesting differ. */
  private conjunction(args: Tree[]): Tree {
    const flat = args
      .map((arg) => this.expression(arg))
      .flatMap((arg) =>
        isNode(arg) && isNode(arg.BoolExpr) && arg.BoolExpr.boolop === 'AND_EXPR'
          ? (arg.BoolExpr.args as Tree[])
          : [arg],
      );
    return { BoolExpr: { boolop: 'AND_EXPR', args: flat } };
  }

  /** The deparser leaves out `pg_catalog.`, which is the search path that it writes for. */
  private call({ funcname, ...rest }: Node): Tree {
    const names = funcname as Node[];
    const isCatalogs = names.length === 2 && (names[0]!.String as Node).sval === 'pg_catalog';
    return { FuncCall: this.copy({ ...rest, funcname: isCatalogs ? names.slice(1) : names }) };
  }

  /** `'…'::text` and `varchar_column::text` are how the deparser writes `'…'` and `varchar_column`. */
  private typeCast(cast: Node): Tree {
    const arg = this.expression(cast.arg);
    if (isNode(arg) && this.hasType(arg, cast.typeName)) return arg;
    if (!isText(cast.typeName) || !isNode(arg)) return this.copy({ TypeCast: cast });
    if (isNode(arg.A_Const) && arg.A_Const.sval !== undefined) return arg;
    if (isNode(arg.Column) && arg.Column.type === 'character varying') return arg;
    return this.copy({ TypeCast: cast });
  }

  /** A sub-select of a value that is cast to the type already: to cast that again changes nothing, and may be left out. */
  private hasType({ SubLink: link }: Node, typeName: Tree): boolean {
    const select = isNode(link) && isNode(link.subselect) ? link.subselect.SelectStmt : undefined;
    const [output] = isNode(select) && link !== undefined ? ((select.output ?? []) as Tree[]) : [];
    const own = isNode(output) && isNode(output.TypeCast) ? output.TypeCast.typeName : undefined;
    return own !== undefined && JSON.stringify(own) === JSON.stringify(this.expression(typeName));
  }

  private select(select: Node): Tree {
    const from = (select.fromClause ?? []) as Node[];
    const level = from.map((item) => this.fromItem(item));
    this.levels.push(level);
    const { fromClause: _from, targetList, ...rest } = select;
    // An output column's name means nothing in an expression sub-select, and the deparser adds one.
    const output = ((targetList ?? []) as Node[]).map(({ ResTarget }) =>
      this.expression((ResTarget as Node).val),
    );
    const canonicalSelect = { ...this.copy(rest), from: level.map(describeInstance), output };
    this.levels.pop();
    return { SelectStmt: canonicalSelect };
  }

  private fromItem(item: Node): Instance {
    const range = item.RangeVar;
    if (!isNode(range)) throw new Error('a sub-select reads something other than a table');
    const { schemaname, relname, alias, inh, relpersistence, location: _location, ...rest } = range;
    // ONLY, a column alias list and a catalog name would all change what is read.
    if (inh !== true || relpersistence !== 'p' || Object.keys(rest).length > 0)
      throw new Error('a sub-select reads a table in an unusual way');
    if (isNode(alias) && Object.keys(alias).join() !== 'aliasname')
      throw new Error('a sub-select renames columns');
    const schema = schemaname as string | undefined;
    const name = relname as string;
    const relation = this.scope.relation(schema, name);
    if (!relation) throw new Error(`a sub-select reads "${schema === undefined ? '' : `${schema}.`}${name}"`);
    return isNode(alias)
      ? this.instance(alias.aliasname as string, undefined, relation)
      : this.instance(name, relation.schema, relation);
  }

  private instance(alias: string, schema: string | undefined, relation: PredicateRelation): Instance {
    return { number: this.instances++, alias, schema, relation };
  }

  /** Which column of which relation in scope: the same for `id`, `note.id` and `public.note.id`. */
  private columnRef(ref: Node): Tree {
    const fields = (ref.fields as Node[]).map((field) =>
      isNode(field.String) ? (field.String.sval as string) : undefined,
    );
    if (fields.includes(undefined) || fields.length > 3) throw new Error('it refers to a whole row');
    const [column, alias, schema] = fields.toReversed();
    for (const level of this.levels.toReversed()) {
      const named = level.filter(
        (one) =>
          (alias === undefined || one.alias === alias) && (schema === undefined || one.schema === schema),
      );
      // A qualified name means the first level that has the relation, an unqualified one the first that has the column.
      const found = alias === undefined ? named.filter((one) => one.relation.columns.has(column!)) : named;
      if (found.length > 1) throw new Error(`"${fields.join('.')}" is ambiguous`);
      const type = found[0]?.relation.columns.get(column!)?.type;
      if (type !== undefined) return { Column: { instance: found[0]!.number, column, type } };
      if (found.length > 0) break;
    }
    throw new Error(`column "${column}" is unknown`);
  }
}

const POSITIONS = new Set(['location', 'rexpr_list_start', 'rexpr_list_end', 'list_start', 'list_end']);

function isNode(tree: Tree): tree is Node {
  return typeof tree === 'object' && tree !== null && !Array.isArray(tree);
}

function isText(typeName: Tree): boolean {
  if (
    !isNode(typeName) ||
    typeName.arrayBounds !== undefined ||
    typeName.typmods !== undefined ||
    typeName.setof !== undefined
  )
    return false;
  const names = ((typeName.names ?? []) as Node[]).map((name) => (name.String as { sval: string }).sval);
  return names.join('.') === 'text' || names.join('.') === 'pg_catalog.text';
}

function describeInstance({ number, relation }: Instance): Node {
  return { instance: number, schema: relation.schema, name: relation.name };
}

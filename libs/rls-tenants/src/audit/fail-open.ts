import { columnFields, conditionsOf, equality, isPlain, rangesOf } from './fail-open-select.js';
import {
  ANYTHING,
  canBeTrue,
  equal,
  FALSE,
  isOfCurrent,
  isTenantOfRow,
  literal,
  logic,
  matches,
  not,
  NULL,
  pairs,
  RAISES,
  textOf,
  TRUE,
  truthOf,
  union,
  UNKNOWN_TRUTH,
  value,
  without,
  type Atom,
  type Situation,
  type Value,
} from './fail-open-values.js';
import { isNode, namesOf, type Tree, type TreeNode } from './policy-expression.js';

// Evaluates a policy's predicate under three-valued logic, with the row unknown and the setting supposed (a
// Situation): can it be true? What is not understood can be anything, so that the answer errs towards yes.

/** A relation that a sub-select reads. */
export interface ReadRelation {
  /** The columns, and perhaps its tenant, tell one row from every other. */
  isKey(columns: ReadonlySet<string>): boolean;
  readonly tenantColumn: string | undefined;
  /** It is a tenant table with policies of its own: of another tenant's rows, or without a tenant, it shows none. */
  readonly filtered: boolean;
}

/** A function that is not PostgreSQL's own. */
export interface CalledFunction {
  /** Its body calls for the tenant setting. */
  readonly readsTenant: boolean;
  /** The one expression that it returns, where its body is no more than that. */
  readonly returns: Tree;
  readonly parameters: readonly (string | undefined)[];
}

/** What the names in a predicate mean. */
export interface PredicateNames {
  /** The name of the policy's table, which qualifies its columns within sub-selects. */
  readonly table: string;
  readonly tenantColumn: string | undefined;
  /** The columns tell one row of the policy's table, or its tenant, from every other. */
  isKey(columns: ReadonlySet<string>): boolean;
  /** Columns of the policy's table that are never NULL. */
  readonly notNull: ReadonlySet<string>;
  /** Whose policies these are. */
  readonly role: string;
  isTenantSetting(name: string): boolean;
  relation(schema: string | undefined, name: string): ReadRelation | undefined;
  function(schema: string, name: string): CalledFunction | undefined;
}

/** What can become of a predicate. */
export interface Outcome {
  readonly canBeTrue: boolean;
  /** A cast of the empty setting that the type refuses was evaluated on the way. */
  readonly castsEmpty: boolean;
}

/** Evaluates the tree of a {@link PolicyExpression}. */
export function outcomeOf(tree: Tree, names: PredicateNames, situation: Situation): Outcome {
  const evaluation = new Evaluation(names, situation);
  const result = evaluation.of(tree, { aliases: new Map(), parameters: undefined });
  return { canBeTrue: canBeTrue(result), castsEmpty: evaluation.castsEmpty };
}

/** A relation of a FROM clause, and whether its rows are those that the policy's row refers to. */
interface Source {
  readonly relation: ReadRelation | undefined;
  readonly referred: boolean;
}

interface Scope {
  readonly aliases: ReadonlyMap<string, Source>;
  /** Arguments of the function that is being evaluated, in whose body names mean other things. */
  readonly parameters: readonly { readonly name: string | undefined; readonly value: Value }[] | undefined;
}

class Evaluation {
  castsEmpty = false;
  private readonly calling = new Set<CalledFunction>();

  constructor(
    private readonly names: PredicateNames,
    private readonly situation: Situation,
  ) {}

  of(tree: Tree, scope: Scope): Value {
    if (!isNode(tree)) return ANYTHING;
    const [kind] = Object.keys(tree);
    const node = tree[kind!];
    if (!isNode(node)) return ANYTHING;
    switch (kind) {
      case 'A_Const':
        return constant(node);
      case 'ColumnRef':
        return this.column(namesOf(node.fields), scope);
      case 'ParamRef':
        return scope.parameters?.[(node.number as number) - 1]?.value ?? ANYTHING;
      case 'SQLValueFunction':
        return ROLE_FUNCTIONS.has(node.op as string) ? value(`@${this.names.role}`) : ANYTHING;
      case 'TypeCast':
        return this.cast(this.of(node.arg, scope), node.typeName);
      case 'CollateClause':
        return this.of(node.arg, scope);
      case 'BoolExpr':
        return this.boolean(node, scope);
      case 'A_Expr':
        return this.operator(node, scope);
      case 'NullTest':
        return this.nullTest(node, scope);
      case 'BooleanTest':
        return this.booleanTest(node, scope);
      case 'CoalesceExpr':
        return coalesce(this.all(node.args, scope));
      case 'MinMaxExpr':
        return union(...this.all(node.args, scope));
      case 'CaseExpr':
        return this.case(node, scope);
      case 'A_ArrayExpr':
        return union(...this.all(node.elements, scope));
      case 'FuncCall':
        return this.call(node, scope);
      case 'SubLink':
        return this.subLink(node, scope);
      default:
        return ANYTHING;
    }
  }

  private all(trees: Tree, scope: Scope): Value[] {
    return ((trees ?? []) as Tree[]).map((tree) => this.of(tree, scope));
  }

  private column(fields: readonly string[], { aliases, parameters }: Scope): Value {
    const [name, qualifier] = fields.toReversed();
    if (name === undefined) return ANYTHING;
    if (parameters) return parameters.find((one) => one.name === name)?.value ?? ANYTHING;
    const source = qualifier === undefined ? undefined : aliases.get(qualifier);
    if (source) return ofSource(name, source);
    if (qualifier !== undefined && qualifier !== this.names.table) return ANYTHING;
    return this.ownColumn(name);
  }

  private ownColumn(name: string): Value {
    const nullable = !this.names.notNull.has(name);
    if (name !== this.names.tenantColumn) return nullable ? ANYTHING : value('any');
    // The situation is about a row that has a tenant, unless there is none in context to compare with.
    return nullable && this.situation.setting !== 'other' ? value('row', 'null') : value('row');
  }

  private cast(arg: Value, typeName: Tree): Value {
    const type = isNode(typeName) ? (namesOf(typeName.names).at(-1) ?? '') : '';
    const isArray = isNode(typeName) && typeName.arrayBounds !== undefined;
    if (TEXT_TYPES.has(type) && !isArray) return arg;
    if (arg.has('empty')) this.castsEmpty = true;
    const accepted = without(without(arg, 'empty'), '=');
    return type === 'bool' && !isArray ? union(...[...accepted].map(booleanOf)) : accepted;
  }

  private boolean({ boolop, args }: TreeNode, scope: Scope): Value {
    const operands = this.all(args, scope);
    return boolop === 'NOT_EXPR' ? not(operands[0]!) : logic(boolop as 'AND_EXPR' | 'OR_EXPR', operands);
  }

  private nullTest({ arg, nulltesttype }: TreeNode, scope: Scope): Value {
    const tested = union(...[...this.of(arg, scope)].map((atom) => (atom === 'null' ? TRUE : FALSE)));
    return nulltesttype === 'IS_NULL' ? tested : not(tested);
  }

  private booleanTest({ arg, booltesttype }: TreeNode, scope: Scope): Value {
    const [, negated, word] = /^IS_(NOT_)?(TRUE|FALSE|UNKNOWN)$/.exec(booltesttype as string)!;
    const wanted = word === 'UNKNOWN' ? 'null' : word!.toLowerCase();
    const tested = union(
      ...[...truthOf(this.of(arg, scope))].map((atom) => (atom === wanted ? TRUE : FALSE)),
    );
    return negated === undefined ? tested : not(tested);
  }

  private case({ arg, args, defresult }: TreeNode, scope: Scope): Value {
    const subject = arg === undefined ? undefined : this.of(arg, scope);
    const results: Value[] = [];
    for (const branch of args as TreeNode[]) {
      const { expr, result } = branch.CaseWhen as TreeNode;
      const tested = this.of(expr, scope);
      const condition = truthOf(subject ? this.compare('=', subject, tested) : tested);
      if (condition.has('true')) results.push(this.of(result, scope));
      if (condition.size === 0 || (condition.size === 1 && condition.has('true'))) return union(...results);
    }
    return union(...results, defresult === undefined ? NULL : this.of(defresult, scope));
  }

  private operator({ kind, name, lexpr, rexpr }: TreeNode, scope: Scope): Value {
    const operator = namesOf(name).at(-1) ?? '';
    const [schema] = namesOf(name).length > 1 ? namesOf(name) : [];
    if (schema !== undefined && schema !== 'pg_catalog') return ANYTHING;
    const left = this.of(lexpr, scope);
    const items = isNode(rexpr) && isNode(rexpr.List) ? this.all(rexpr.List.items, scope) : undefined;
    const right = items ? union(...items) : this.of(rexpr, scope);
    switch (kind) {
      case 'AEXPR_NULLIF':
        return pairs(left, right, (a, b) => {
          if (a === 'null' || b === 'null') return value(a);
          const same = equal(a, b, this.situation);
          return union(same.has('true') ? NULL : RAISES, same.has('false') ? value(a) : RAISES);
        });
      case 'AEXPR_DISTINCT':
        return not(this.notDistinct(left, right));
      case 'AEXPR_NOT_DISTINCT':
        return this.notDistinct(left, right);
      case 'AEXPR_OP_ANY':
      case 'AEXPR_OP_ALL':
        // Of an empty array ANY is false and ALL is true.
        return this.elements(kind, this.compare(operator, left, right), right);
      default:
        return this.compare(operator, left, right);
    }
  }

  private elements(kind: string, compared: Value, array: Value): Value {
    const canBeEmpty = [...array].some((atom) => atom === 'any' || textOf(atom) === '' || atom === '={}');
    if (!canBeEmpty) return compared;
    return union(compared, kind === 'AEXPR_OP_ANY' ? FALSE : TRUE);
  }

  private notDistinct(left: Value, right: Value): Value {
    return pairs(left, right, (a, b) =>
      a === 'null' || b === 'null' ? (a === b ? TRUE : FALSE) : equal(a, b, this.situation),
    );
  }

  /** PostgreSQL's own operators are strict. */
  private compare(operator: string, left: Value, right: Value): Value {
    return pairs(left, right, (a, b) => {
      if (a === 'null' || b === 'null') return NULL;
      if (operator === '=') return equal(a, b, this.situation);
      if (operator === '<>') return not(equal(a, b, this.situation));
      if (MATCHING.has(operator)) return matches(operator, a, b, this.situation);
      if (NOT_MATCHING.has(operator)) return not(matches(operator, a, b, this.situation));
      if (operator === '||') return concatenated([value(a), value(b)]);
      if (JSON_FIELD.has(operator) && isOfCurrent(a)) return value(a);
      return ORDER[operator] ? ordered(operator, a, b) : value('any');
    });
  }

  private call({ funcname, args }: TreeNode, scope: Scope): Value {
    const [name, schema = 'pg_catalog'] = namesOf(funcname).toReversed();
    const values = this.all(args, scope);
    if (schema !== 'pg_catalog') return this.ownFunction(this.names.function(schema, name!), values);
    if (name === 'current_setting') return this.setting(values);
    if (name === 'concat') return concatenated(values.map((one) => without(one, 'null')));
    if (!NOT_STRICT.has(name!) && values.some(isNull)) return NULL;
    const nullable = values.some((one) => one.has('null'));
    return union(
      nullable ? NULL : RAISES,
      this.derived(
        name!,
        values.map((one) => without(one, 'null')),
      ),
    );
  }

  private derived(name: string, values: readonly Value[]): Value {
    const [first = ANYTHING] = values;
    if (SAME_VALUE.has(name)) return first;
    const atoms = [...union(...values)];
    if (PARTS.has(name) && atoms.some(isOfCurrent) && !atoms.some(isTenantOfRow)) return value('currents');
    if (LISTS.has(name) && isOnly(first, 'empty')) return value('={}');
    if (POSITIONS.has(name) && atoms.some(isOfCurrent) && atoms.some(isTenantOfRow))
      return this.situation.patternsMatch ? value('any') : literal('0');
    return ANYTHING;
  }

  private ownFunction(called: CalledFunction | undefined, values: readonly Value[]): Value {
    if (!called) return ANYTHING;
    if (called.returns !== undefined && !this.calling.has(called)) {
      this.calling.add(called);
      const parameters = values.map((one, index) => ({ name: called.parameters[index], value: one }));
      const result = this.of(called.returns, { aliases: new Map(), parameters });
      this.calling.delete(called);
      return result;
    }
    if (!called.readsTenant) return ANYTHING;
    // Its body is not looked into: it is trusted to give the tenant, and none where there is none.
    return this.situation.setting === 'other' ? value('current') : NULL;
  }

  private setting([name = ANYTHING, missingOk = FALSE]: readonly Value[]): Value {
    const known = [...name].length === 1 ? textOf([...name][0]!) : undefined;
    if (known !== undefined && this.names.isTenantSetting(known)) {
      if (this.situation.setting === 'other') return value('current');
      if (this.situation.setting === 'empty') return value('empty');
      return missingOk.has('true') ? NULL : RAISES;
    }
    if (known !== undefined && UNFORGEABLE_SETTINGS.has(known)) return literal('none');
    if (this.situation.otherSettings || known === undefined) return ANYTHING;
    // Never set, or read again after its transaction. PostgreSQL's own settings always have a value.
    return known.includes('.') ? union(missingOk.has('true') ? NULL : RAISES, value('=')) : literal('none');
  }

  private subLink({ subLinkType, subselect, testexpr, operName }: TreeNode, scope: Scope): Value {
    const select = isNode(subselect) ? subselect.SelectStmt : undefined;
    if (!isNode(select) || !isPlain(select)) return ANYTHING;
    if (scope.parameters && select.fromClause !== undefined) return ANYTHING;
    const target = ((select.targetList ?? []) as TreeNode[]).map((one) => (one.ResTarget as TreeNode).val)[0];
    const pair: readonly [Tree, Tree][] = testexpr === undefined ? [] : [[testexpr, target]];
    const inner = this.from(select, scope, pair);
    const condition = inner ? this.where(select, inner.scope) : UNKNOWN_TRUTH;
    const found = inner?.empty !== true && condition.has('true');
    if (subLinkType === 'EXISTS_SUBLINK') return found ? UNKNOWN_TRUTH : FALSE;
    const result = found ? this.target(target, select, inner?.scope ?? scope) : RAISES;
    if (subLinkType === 'EXPR_SUBLINK')
      return select.fromClause === undefined && found ? result : union(result, NULL);
    const operator = namesOf(operName).at(-1) ?? '=';
    const compared = this.compare(
      operator,
      testexpr === undefined ? ANYTHING : this.of(testexpr, scope),
      result,
    );
    if (subLinkType === 'ANY_SUBLINK') return union(compared, FALSE);
    return subLinkType === 'ALL_SUBLINK' ? union(compared, TRUE) : ANYTHING;
  }

  /** A row that is looked up by the tenant in context is that tenant's. */
  private target(target: Tree, select: TreeNode, scope: Scope): Value {
    const found = this.of(target, scope);
    const lookedUp = conditionsOf(select).some((one) => {
      const sides = equality(one)?.[0] ?? [];
      return sides.some((side) => isOnly(this.of(side, scope), 'current'));
    });
    return lookedUp && found.has('any') ? value('current', 'null') : found;
  }

  private where(select: TreeNode, scope: Scope): Value {
    const conditions = conditionsOf(select).map((one) => this.of(one, scope));
    return conditions.length === 0 ? TRUE : logic('AND_EXPR', conditions);
  }

  /** The names of a FROM clause; `empty` if policies leave nothing of it. Undefined where it is not only relations. */
  private from(
    select: TreeNode,
    outer: Scope,
    tested: readonly [Tree, Tree][],
  ): { scope: Scope; empty: boolean } | undefined {
    const ranges = ((select.fromClause ?? []) as Tree[]).flatMap(rangesOf);
    const known = ranges.filter((range) => range !== undefined);
    if (known.length < ranges.length) return undefined;
    const aliases = new Map(outer.aliases);
    for (const { alias, schema, name } of known)
      aliases.set(alias, { relation: this.names.relation(schema, name), referred: false });
    const equalities = [...tested, ...conditionsOf(select).flatMap((one) => equality(one) ?? [])];
    const waiting = new Set(known.map(({ alias }) => alias));
    for (let before = -1; before !== waiting.size;) {
      before = waiting.size;
      for (const alias of waiting) {
        if (!this.isReferred(alias, equalities, aliases)) continue;
        aliases.set(alias, { ...aliases.get(alias)!, referred: true });
        waiting.delete(alias);
      }
    }
    const empty = known.some(({ alias }) => {
      const source = aliases.get(alias)!;
      return source.referred && source.relation?.filtered === true;
    });
    return { scope: { ...outer, aliases }, empty };
  }

  /**
   * Equalities tie the relation's rows to the policy's row, or to one that this refers to, and they do so by a key of
   * either: `d.id = note.doc_id`, and not `d.status = note.status`.
   */
  private isReferred(
    alias: string,
    equalities: readonly [Tree, Tree][],
    aliases: ReadonlyMap<string, Source>,
  ): boolean {
    const own = new Set<string>();
    const held = new Map<string, Set<string>>();
    for (const [left, right] of equalities.flatMap(([a, b]) => [[a, b] as const, [b, a] as const])) {
      const [column, qualifier] = columnFields(left)?.toReversed() ?? [];
      const [other, source = this.names.table] = columnFields(right)?.toReversed() ?? [];
      if (column === undefined || other === undefined || qualifier !== alias) continue;
      if (aliases.has(source) ? !aliases.get(source)!.referred : source !== this.names.table) continue;
      own.add(column);
      held.set(source, (held.get(source) ?? new Set()).add(other));
    }
    if (own.size === 0) return false;
    if (aliases.get(alias)?.relation?.isKey(own)) return true;
    return [...held].some(([source, columns]) =>
      aliases.has(source) ? aliases.get(source)!.relation?.isKey(columns) : this.names.isKey(columns),
    );
  }
}

function ofSource(column: string, { relation, referred }: Source): Value {
  if (!referred) return ANYTHING;
  if (relation?.tenantColumn === undefined) return value('mapped', 'null');
  return column === relation.tenantColumn ? value('row') : ANYTHING;
}

function constant(node: TreeNode): Value {
  if (node.isnull === true) return NULL;
  // The JSON of protocol buffers leaves out what is false, zero or empty.
  if (isNode(node.boolval)) return node.boolval.boolval === true ? TRUE : FALSE;
  if (isNode(node.sval)) return literal((node.sval.sval as string | undefined) ?? '');
  if (isNode(node.ival)) return literal(String((node.ival.ival as number | undefined) ?? 0));
  return isNode(node.fval) ? literal(node.fval.fval as string) : ANYTHING;
}

function coalesce(values: readonly Value[]): Value {
  const results: Value[] = [];
  for (const one of values) {
    results.push(without(one, 'null'));
    if (!one.has('null')) return union(...results);
  }
  return union(...results, NULL);
}

/** Literals are joined; the tenant in context with anything around it is a pattern. */
function concatenated(values: readonly Value[]): Value {
  return values.reduce((left, right) =>
    pairs(left, right, (a, b) => {
      const [before, after] = [textOf(a), textOf(b)];
      if (before !== undefined && after !== undefined) return literal(before + after);
      return value([a, b].some(isOfCurrent) && ![a, b].some(isTenantOfRow) ? 'currents' : 'any');
    }),
  );
}

function isOnly(one: Value, atom: Atom): boolean {
  return one.has(atom) && without(without(one, 'null'), atom).size === 0;
}

function isNull(one: Value): boolean {
  return one.size === 1 && one.has('null');
}

/** `'on'::boolean` and the like. */
function booleanOf(atom: Atom): Value {
  if (atom === 'true' || atom === 'false' || atom === 'null') return value(atom);
  const text = textOf(atom)?.toLowerCase();
  if (text === undefined) return UNKNOWN_TRUTH;
  if (['true', 't', 'yes', 'on', '1'].includes(text)) return TRUE;
  return ['false', 'f', 'no', 'off', '0'].includes(text) ? FALSE : RAISES;
}

/** Numbers are compared; the tenants of the row and of the context can be in any order. */
function ordered(operator: string, a: Atom, b: Atom): Value {
  const [left, right] = [textOf(a), textOf(b)].map((text) =>
    text === undefined || text === '' ? NaN : Number(text),
  );
  if (Number.isNaN(left) || Number.isNaN(right)) return UNKNOWN_TRUTH;
  return ORDER[operator]!(left!, right!) ? TRUE : FALSE;
}

const ROLE_FUNCTIONS = new Set([
  'SVFOP_CURRENT_USER',
  'SVFOP_CURRENT_ROLE',
  'SVFOP_SESSION_USER',
  'SVFOP_USER',
]);
/** Types whose input takes an empty string. */
const TEXT_TYPES = new Set(['text', 'varchar', 'bpchar', 'name', 'citext', 'bytea']);
const ORDER: Readonly<Record<string, (left: number, right: number) => boolean>> = {
  '<': (left, right) => left < right,
  '<=': (left, right) => left <= right,
  '>': (left, right) => left > right,
  '>=': (left, right) => left >= right,
};
/** A field of a JSON document that is in the tenant setting. */
const JSON_FIELD = new Set(['->', '->>', '#>', '#>>']);
const MATCHING = new Set(['~~', '~~*', '~', '~*', '@>', '<@', '&&', '?', '?|', '^@']);
const NOT_MATCHING = new Set(['!~~', '!~~*', '!~', '!~*']);
/** PostgreSQL's functions that give something for NULL. */
const NOT_STRICT = new Set([
  'concat_ws',
  'format',
  'num_nulls',
  'num_nonnulls',
  'quote_nullable',
  'array_append',
  'array_prepend',
  'array_cat',
  'array_position',
  'jsonb_build_object',
  'jsonb_build_array',
  'json_build_object',
  'json_build_array',
  'array_to_string',
]);
/** What they give stands for their first argument. */
const SAME_VALUE = new Set([
  'lower',
  'upper',
  'btrim',
  'ltrim',
  'rtrim',
  'uuid',
  'text',
  'varchar',
  'int4',
  'int8',
  'unnest',
]);
/** What they give is part of their argument, or a list of its parts. */
const PARTS = new Set([
  'string_to_array',
  'regexp_split_to_array',
  'split_part',
  'substr',
  'substring',
  'regexp_split_to_table',
  'string_to_table',
  'concat_ws',
  'format',
  'jsonb_array_elements_text',
  'json_array_elements_text',
  'replace',
  'left',
  'right',
]);
const LISTS = new Set(['string_to_array', 'regexp_split_to_array']);
/** Where in a text another one is: 0 for nowhere. */
const POSITIONS = new Set(['strpos', 'position']);
/** Set by PostgreSQL alone, or to roles that one is a member of only. */
const UNFORGEABLE_SETTINGS = new Set(['role', 'session_authorization', 'is_superuser']);

// What an expression can yield while the values of the row and of the statement are not known: a set of atoms. See
// fail-open.ts. Three-valued logic is the case of the atoms true, false and null.

/**
 * One thing an expression can yield:
 *
 * - `null`, `true`, `false`, and literals as `=text`
 * - `empty`: the tenant setting's `''`
 * - `current`: the tenant in context, who is not the row's
 * - `currents`: made of the tenant in context, but a pattern, a list or part of it
 * - `row`: the row's own tenant, or that of a row it refers to
 * - `mapped`: a column of a table that the row refers to and that has no tenant column
 * - `@name`: who asks, a role
 * - `any`: something else that is not null
 */
export type Atom = string;
export type Value = ReadonlySet<Atom>;

/** What the evaluation supposes. */
export interface Situation {
  /** The tenant setting was never set, is empty as after its first use, or names another tenant than the row's. */
  readonly setting: 'unset' | 'empty' | 'other';
  /** There are rows whose tenant column holds an empty text. */
  readonly emptyTenants?: boolean;
  /** A literal that is compared with the tenant column is the row's tenant. */
  readonly literalsMatch?: boolean;
  /** A tenant id is a pattern or list that the row's tenant matches. */
  readonly patternsMatch?: boolean;
  /** Settings that hold no tenant hold what whoever writes the statement likes. Otherwise nobody has set them. */
  readonly otherSettings?: boolean;
}

export const NULL = value('null');
export const TRUE = value('true');
export const FALSE = value('false');
export const UNKNOWN_TRUTH = value('true', 'false');
export const ANYTHING = value('any', 'null');
/** The expression raises, so that there are no rows. */
export const RAISES = value();

export function value(...atoms: Atom[]): Value {
  return new Set(atoms);
}

export function literal(text: string): Value {
  return value(`=${text}`);
}

export function union(...values: Value[]): Value {
  return new Set(values.flatMap((one) => [...one]));
}

export function without(one: Value, atom: Atom): Value {
  return new Set([...one].filter((other) => other !== atom));
}

/** As a condition: true, false, null. What is no boolean constant can be both. */
export function truthOf(one: Value): Value {
  return union(...[...one].map((atom) => (isTruth(atom) ? value(atom) : UNKNOWN_TRUTH)));
}

export function canBeTrue(one: Value): boolean {
  return truthOf(one).has('true');
}

export function not(one: Value): Value {
  const opposite: Record<Atom, Atom> = { true: 'false', false: 'true', null: 'null' };
  return new Set([...truthOf(one)].map((atom) => opposite[atom]!));
}

/** OR is decided by true, AND by false. An operand that raises is no reason not to evaluate the other first. */
export function logic(operator: 'AND_EXPR' | 'OR_EXPR', operands: readonly Value[]): Value {
  const decisive = operator === 'OR_EXPR' ? 'true' : 'false';
  return operands.map(truthOf).reduce((left, right) =>
    union(
      ...(left.has(decisive) || right.has(decisive) ? [value(decisive)] : []),
      pairs(left, right, (a, b) => {
        if (a === decisive || b === decisive) return value(decisive);
        return value(a === 'null' || b === 'null' ? 'null' : a);
      }),
    ),
  );
}

/** The union of what `combine` makes of every pair. */
export function pairs(left: Value, right: Value, combine: (a: Atom, b: Atom) => Value): Value {
  return union(...[...left].flatMap((a) => [...right].map((b) => combine(a, b))));
}

/** Whether two values that are not null can be equal. */
export function equal(a: Atom, b: Atom, situation: Situation): Value {
  const one = [a, b].find(isTenantOfRow);
  if (one !== undefined) return equalToRow(one, a === one ? b : a, situation);
  if (a === b && (a === 'current' || a === 'empty' || isTruth(a))) return TRUE;
  if (isTruth(a) && isTruth(b)) return FALSE;
  const [left, right] = [textOf(a), textOf(b)];
  if (left !== undefined && right !== undefined) return left === right ? TRUE : FALSE;
  // The tenant in context is not empty; nothing but a tenant column is taken to be.
  if (left === '' || right === '')
    return a === 'current' || b === 'current' || [a, b].includes('empty') ? FALSE : UNKNOWN_TRUTH;
  return UNKNOWN_TRUTH;
}

function equalToRow(
  row: Atom,
  other: Atom,
  { emptyTenants, literalsMatch, patternsMatch }: Situation,
): Value {
  if (other === row) return row === 'row' ? TRUE : UNKNOWN_TRUTH;
  if (other === 'current') return FALSE;
  if (other === 'currents') return patternsMatch ? UNKNOWN_TRUTH : FALSE;
  if (other === 'empty') return emptyTenants ? UNKNOWN_TRUTH : FALSE;
  if (other.startsWith('=') && row === 'row') return literalsMatch ? UNKNOWN_TRUTH : FALSE;
  return UNKNOWN_TRUTH;
}

/** Whether `subject` can match the pattern, or be in the list, that `operator` takes on the other side. */
export function matches(operator: string, subject: Atom, pattern: Atom, { patternsMatch }: Situation): Value {
  const tenants = isTenantOfRow(subject) || isTenantOfRow(pattern);
  if (tenants && [subject, pattern].some((atom) => atom === 'current' || atom === 'currents'))
    return patternsMatch ? UNKNOWN_TRUTH : FALSE;
  // LIKE '' matches the empty text only, a regular expression '' everything.
  if (tenants && textOf(pattern) === '') return operator.includes('~~') ? FALSE : UNKNOWN_TRUTH;
  return UNKNOWN_TRUTH;
}

export function isTenantOfRow(atom: Atom): boolean {
  return atom === 'row' || atom === 'mapped';
}

export function isOfCurrent(atom: Atom): boolean {
  return atom === 'current' || atom === 'currents';
}

/** The text of a literal, of the empty setting and of a role. */
export function textOf(atom: Atom): string | undefined {
  if (atom === 'empty') return '';
  return /^[=@]/.test(atom) ? atom.slice(1) : undefined;
}

function isTruth(atom: Atom): boolean {
  return atom === 'true' || atom === 'false' || atom === 'null';
}

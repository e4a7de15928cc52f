import { parseSync } from 'libpg-query';
import type { TenantScopedTable } from '../entities/tenant-tables.js';
import {
  EQUALITY_FUNCTIONS,
  quoteIdentifier,
  readableSettingOf,
  SEAL_VERSION,
  sealFunctionsSql,
  sealObjectsOf,
} from '../policies/index.js';
import type { Catalog, CatalogPolicy, CatalogTable } from './catalog.js';
import {
  conjunctsOf,
  isNode,
  namesOf,
  parseExpression,
  type PolicyExpression,
  type Tree,
  type TreeNode,
} from './policy-expression.js';
import type { CatalogSeal, CatalogSealFunction } from './seal-catalog.js';

// What rules ask about the seals of a database, and of the policies that take a tenant with a seal only.

/** What verifies the seals of the table's tenant setting; undefined where nothing does. */
export function sealOf(
  { tenantSetting }: Pick<TenantScopedTable, 'tenantSetting'>,
  { seals }: Pick<Catalog, 'seals'>,
): CatalogSeal | undefined {
  return seals.find(({ setting }) => setting === tenantSetting);
}

/** How a policy comes by the tenant. */
export interface TenantForms {
  /** It asks the verifying functions. */
  readonly sealed: boolean;
  /** One of its expressions reads the setting that everybody can set, and asks for no seal. */
  readonly plain: boolean;
}

export function formsOf(policy: CatalogPolicy, { name }: CatalogTable, seal: CatalogSeal): TenantForms {
  const expressions = expressionsOf(policy, name);
  return {
    sealed: expressions.some((one) => callsSeal(one, seal)),
    plain: expressions.some((one) => readsPlainly(one, seal) && !callsSeal(one, seal)),
  };
}

/** USING and WITH CHECK, as far as there are any. */
export function expressionsOf({ using, withCheck }: CatalogPolicy, table: string): PolicyExpression[] {
  return [using, withCheck].flatMap((text) => (text === null ? [] : [parseExpression(text, table)]));
}

/** Parsed or not: what cannot be parsed is searched for the name. */
export function callsSeal({ functions, unreadable, text }: PolicyExpression, seal: CatalogSeal): boolean {
  if (unreadable !== undefined) return text.includes(`${seal.schema}.${seal.currentTenant}`);
  return functions.some((call) => isVerifying(call, seal));
}

function isVerifying(
  { schema, name }: { readonly schema: string | undefined; readonly name: string },
  seal: CatalogSeal,
): boolean {
  return schema === seal.schema && (name === seal.currentTenant || name === seal.readableTenants);
}

/** A setting whose name is computed may be the tenant's. */
export function readsPlainly({ settings }: Pick<PolicyExpression, 'settings'>, seal: CatalogSeal): boolean {
  const names = [seal.setting, readableSettingOf(seal.setting)].map((name) => name.toLowerCase());
  return settings.some(({ name }) => name === undefined || names.includes(name.toLowerCase()));
}

/** An outermost AND operand compares a column of the table, by that operator, with nothing but what the seal vouches for. */
export function comparesSeal(expression: PolicyExpression, seal: CatalogSeal, operator: string): boolean {
  return expression.comparisons.some(
    (one) =>
      one.conjunct &&
      one.operator === operator &&
      one.otherColumns.length === 0 &&
      one.functions.some((call) => isVerifying(call, seal)) &&
      !readsPlainly(one, seal),
  );
}

/**
 * An outermost AND operand asks for each row whether its tenant is the one that was verified, in a form that PostgreSQL
 * puts into no class of equals: a call of what the operator `=` calls, or ANY.
 */
export function holdsToSeal(expression: PolicyExpression, seal: CatalogSeal): boolean {
  return (
    comparesSeal(expression, seal, '= ANY') ||
    conjunctsOf(expression.tree).some((conjunct) => {
      const call = admittingCall(conjunct);
      if (!call) return false;
      const text = JSON.stringify(call.args);
      return (
        text.includes('"SubLink"') &&
        text.includes('"ColumnRef"') &&
        [seal.currentTenant, seal.readableTenants].some((name) => text.includes(JSON.stringify(name))) &&
        !text.includes('"current_setting"')
      );
    })
  );
}

/** `uuid_eq(…)` and its like, or `array_position(…) IS NOT NULL`. */
function admittingCall(conjunct: Tree): TreeNode | undefined {
  if (!isNode(conjunct)) return undefined;
  const { FuncCall: call, NullTest: test } = conjunct;
  if (isNode(call))
    return EQUALITIES.has(namesOf(call.funcname).at(-1)!) && isCatalogs(call) ? call : undefined;
  if (!isNode(test) || test.nulltesttype !== 'IS_NOT_NULL' || !isNode(test.arg)) return undefined;
  const position = test.arg.FuncCall;
  return isNode(position) && namesOf(position.funcname).at(-1) === 'array_position' && isCatalogs(position)
    ? position
    : undefined;
}

/** The deparser leaves out `pg_catalog.`, and no other schema. */
function isCatalogs({ funcname }: TreeNode): boolean {
  const names = namesOf(funcname);
  return names.length === 1 || names[0] === 'pg_catalog';
}

const EQUALITIES: ReadonlySet<string> = new Set(Object.values(EQUALITY_FUNCTIONS));

/**
 * The table as it is to be compared with what the library generates: in the sealed form where its database has a seal,
 * unless its policies are all still in the plain one, which a rule of its own says.
 */
export function asSealed(
  table: TenantScopedTable,
  live: CatalogTable | undefined,
  catalog: Pick<Catalog, 'seals'>,
): TenantScopedTable {
  const seal = sealOf(table, catalog);
  if (!seal) return table;
  const forms = (live?.policies ?? []).map((policy) => formsOf(policy, live!, seal));
  const isPlain = forms.some(({ plain }) => plain) && !forms.some(({ sealed }) => sealed);
  return isPlain ? table : { ...table, sealed: true };
}

const BODIES = new Map<string, ReadonlyMap<string, string>>();

/**
 * The bodies of the verifying functions as this version of the library writes them, by name. libpg-query's
 * `loadModule()` must have finished.
 */
export function genuineBodies({ setting }: Pick<CatalogSeal, 'setting'>): ReadonlyMap<string, string> {
  const known = BODIES.get(setting);
  if (known) return known;
  const created = sealFunctionsSql({ tenantSetting: setting, appRole: 'app' }).flatMap((sql) => {
    const statement = parseSync(sql).stmts?.[0]?.stmt as unknown as TreeNode | undefined;
    return isNode(statement?.CreateFunctionStmt) ? [statement.CreateFunctionStmt] : [];
  });
  const bodies = new Map(created.map((one) => [namesOf(one.funcname).at(-1)!, bodyOf(one)]));
  BODIES.set(setting, bodies);
  return bodies;
}

function bodyOf({ options }: TreeNode): string {
  const as = ((options ?? []) as TreeNode[])
    .map(({ DefElem }) => DefElem)
    .find((one): one is TreeNode => isNode(one) && one.defname === 'as');
  const items: Tree = isNode(as?.arg) && isNode(as.arg.List) ? as.arg.List.items : [];
  return namesOf(items)[0] ?? '';
}

/** For SQL. */
export function quotedSchema({ schema }: CatalogSeal): string {
  return quoteIdentifier(schema);
}

/** For SQL. */
export function quotedKeyTable({ setting }: CatalogSeal): string {
  return sealObjectsOf(setting).keyTable;
}

/** Whether it is one of the functions that verify seals, genuine or not. */
export function isSealFunction({ seals }: Pick<Catalog, 'seals'>, oid: string): boolean {
  return seals.some(({ functions }) => functions.some((one) => one.oid === oid));
}

/** What is wrong with a verifying function. */
export interface SealFlaw {
  readonly text: string;
  /** It takes nobody for another tenant. */
  readonly minor?: true;
}

/**
 * How a function that verifies seals differs from the one that this version of the library makes. libpg-query's
 * `loadModule()` must have finished.
 */
export function flawsOf(one: CatalogSealFunction, seal: CatalogSeal): SealFlaw[] {
  const flaws: SealFlaw[] = ATTRIBUTES.flatMap(([isRight, text]) => (isRight(one) ? [] : [{ text }]));
  if (one.parallel !== 'r') {
    const text = 'it is not PARALLEL RESTRICTED: a worker is not the backend that a seal is for';
    flaws.push({ text, minor: true });
  }
  if (seal.keyTable && one.owner !== seal.keyTable.owner)
    flaws.push({ text: `it belongs to "${one.owner}", and the keys to "${seal.keyTable.owner}"` });
  if (one.body === genuineBodies(seal).get(one.name)) return flaws;
  const version = /tenant seal, version (\S+)$/.exec(one.comment ?? '')?.[1];
  return version === undefined || version === SEAL_VERSION
    ? [...flaws, { text: 'its body is not the library’s' }]
    : [...flaws, { text: `it is of version ${version}, and this is version ${SEAL_VERSION}`, minor: true }];
}

type Check = (one: CatalogSealFunction) => boolean;

const ATTRIBUTES: readonly (readonly [Check, string])[] = [
  [({ kind, result }) => kind === 'f' && result === 'text', 'it is no function that returns text'],
  [({ language }) => language === 'plpgsql', 'it is not in PL/pgSQL'],
  [
    ({ securityDefiner }) => securityDefiner,
    'it is SECURITY INVOKER: its caller would have to read the keys',
  ],
  [
    ({ config }) => config.join() === 'search_path=pg_catalog, pg_temp',
    'its search path is not fixed to pg_catalog: the session says what its names mean',
  ],
  [
    ({ volatility }) => volatility === 's',
    'it is not STABLE: verified once for a plan that is kept, or again for each row',
  ],
  [({ leakproof }) => !leakproof, 'it is LEAKPROOF'],
];

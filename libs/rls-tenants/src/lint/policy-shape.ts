import { parseSync, type Node } from 'libpg-query';
import { TENANT_ID_TYPES } from '../context/tenant-id.js';
import { RlsTenantsError } from '../errors.js';
import { readableSettingOf, tenantPolicies, type TenantTable } from '../policies/index.js';
import { names, nodesOf, type ChangeOf } from './changes.js';
import type { LintContext } from './context.js';

/** A policy that is created or altered. */
type PolicyChange = ChangeOf<'create-policy' | 'alter-policy'>;

/**
 * Why a permissive policy's predicate is not one that this library writes: that the tenant column is the current
 * tenant's, by the plain setting or by the seal; for SELECT alone, that it is one of the tenants that the current one
 * reads; or `true` for the admin role alone. Undefined if it is.
 */
export function shapeProblem(
  predicate: Node,
  { table, roles, readsOnly }: PolicyChange,
  { tenantColumn, tenantSetting, isTenantTable }: LintContext,
): string | undefined {
  if (isTrue(predicate)) {
    const isAdmin = roles.length > 0 && !roles.includes('public');
    return isAdmin ? undefined : 'it admits everybody to all rows';
  }
  const column = comparedColumn(predicate);
  if (column === undefined) return deviation(predicate, tenantSetting);
  const compared: Compared = { tenantColumn: column, tenantSetting };
  const is = (shapes: readonly string[]) => shapes.includes(canonical(predicate));
  const isList = is(listShapes(predicate, compared));
  if (!isList && !is(shapesOf([compared]))) return deviation(predicate, tenantSetting);
  if (isList && !readsOnly) {
    return 'it admits to rows of several tenants, and not for SELECT alone: a tenant would write those of others';
  }
  return isTenantTable(table) && column !== tenantColumn
    ? `it compares "${column}", and the tenant column is "${tenantColumn}"`
    : undefined;
}

/** True if the predicate calls one of the functions that verify the seal of the tenant setting. */
export function asksForSeal(predicate: Node, tenantSetting: string): boolean {
  return functionsOf(predicate).some(
    (name) => name === tenantSetting || name === readableSettingOf(tenantSetting),
  );
}

type Compared = Pick<TenantTable, 'tenantColumn' | 'tenantSetting' | 'readableBySet' | 'sharedTenant'>;

/** What the policies that read say, for tenants of each type, by the plain setting and by the seal. */
function shapesOf(tables: readonly Compared[]): string[] {
  return tables.flatMap((table) =>
    TENANT_ID_TYPES.flatMap((tenantIdType) =>
      [false, true].flatMap((sealed) => {
        try {
          const [{ predicate }] = tenantPolicies({ ...table, table: 'any', tenantIdType, sealed });
          return canonical(parsed(predicate));
        } catch (error) {
          // No tenant id of the type, or a setting that cannot be sealed.
          if (error instanceof RlsTenantsError) return [];
          throw error;
        }
      }),
    ),
  );
}

/** The shapes of lists: every text in the predicate may be the tenant whose rows are everybody's. */
function listShapes(predicate: Node, compared: Compared): string[] {
  const texts = new Set(nodesOf(predicate, 'sval').map(({ sval }) => sval as string | undefined));
  return shapesOf([
    { ...compared, readableBySet: true },
    ...[...texts].flatMap((sharedTenant) =>
      sharedTenant === undefined
        ? []
        : [false, true].map((readableBySet) => ({ ...compared, sharedTenant, readableBySet })),
    ),
  ]);
}

/** The deviation with the worst effect, in words. */
function deviation(predicate: Node, tenantSetting: string): string {
  if (nodesOf(predicate, 'CaseExpr').length > 0)
    return 'a CASE cannot become an index condition: every query reads every row';
  if (nodesOf(predicate, 'BoolExpr').some(({ boolop }) => boolop === 'OR_EXPR')) {
    return 'an OR cannot become an index condition, and admits whoever sets what its other side asks for';
  }
  if (asksForSeal(predicate, tenantSetting)) {
    return nodesOf(predicate, 'SubLink').length === 0
      ? 'without a sub-select around it the seal is verified again for each row, and a statement can become another tenant half-way'
      : `it is not the library's sealed form, beside or around which nothing else holds`;
  }
  const settings = nodesOf(predicate, 'FuncCall').filter(
    ({ funcname }) => names(funcname as Node[]).at(-1) === 'current_setting',
  );
  if (settings.length === 0) {
    const function_ = functionsOf(predicate).find((name) => /tenant/i.test(name));
    return function_ === undefined
      ? 'it does not ask for the tenant setting'
      : `it asks ${function_}(), and what verifies the tenant's seal is ${tenantSetting}()`;
  }
  const asked = nodesOf(settings, 'sval').map(({ sval }) => sval);
  if (!asked.includes(tenantSetting)) return `it asks for another setting than ${tenantSetting}`;
  if (nodesOf(settings, 'boolval').length === 0)
    return 'current_setting() without its second argument fails where nobody set the tenant';
  if (!nodesOf(predicate, 'A_Expr').some(({ kind }) => kind === 'AEXPR_NULLIF')) {
    return "without NULLIF(…, '') the cast fails on the empty setting that every used connection has";
  }
  if (nodesOf(predicate, 'SubLink').length > 0)
    return 'behind a sub-select the planner takes the tenant for an average one, and joins badly for every other';
  return 'it is not "tenant column = current tenant"';
}

function isTrue(predicate: Node): boolean {
  return 'A_Const' in predicate && predicate.A_Const.boolval?.boolval === true;
}

/** The one column that it is about. */
function comparedColumn(predicate: Node): string | undefined {
  const columns = new Set(
    nodesOf(predicate, 'ColumnRef').map(({ fields }) => names(fields as Node[]).at(-1)),
  );
  return columns.size === 1 ? [...columns][0] : undefined;
}

/** The functions that it calls, with their schemas if it writes them. */
function functionsOf(predicate: Node): string[] {
  return nodesOf(predicate, 'FuncCall').map(({ funcname }) => names(funcname as Node[]).join('.'));
}

function parsed(predicate: string): unknown {
  const [first] = parseSync(`SELECT ${predicate}`).stmts ?? [];
  const select = first?.stmt && 'SelectStmt' in first.stmt ? first.stmt.SelectStmt : undefined;
  const [target] = select?.targetList ?? [];
  return target && 'ResTarget' in target ? target.ResTarget.val : undefined;
}

/** The same text for predicates that differ in places and in the qualification of columns and of PostgreSQL's own only. */
function canonical(tree: unknown): string {
  return JSON.stringify(tree, (key, value: unknown) => {
    if (POSITIONS.has(key)) return undefined;
    if (!Array.isArray(value)) return value;
    if (key === 'fields') return value.slice(-1);
    return key === 'funcname' && names(value as Node[])[0] === 'pg_catalog' ? value.slice(1) : value;
  });
}

const POSITIONS: ReadonlySet<string> = new Set([
  'location',
  'list_start',
  'list_end',
  'rexpr_list_start',
  'rexpr_list_end',
]);

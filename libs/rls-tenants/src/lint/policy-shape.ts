import { parseSync, type Node } from 'libpg-query';
import { TENANT_ID_TYPES } from '../context/tenant-id.js';
import { currentTenantSql, tenantPredicateSql } from '../policies/index.js';
import { names, nodesOf } from './changes.js';
import type { LintContext } from './context.js';

/**
 * Why a permissive policy's predicate is not the one this library writes: `column = NULLIF(current_setting(…, true),
 * '')::type`, or `true` for the admin role alone. Undefined if it is.
 */
export function shapeProblem(
  predicate: Node,
  table: string,
  { tenantColumn, tenantSetting, isTenantTable }: LintContext,
  isAdmin: boolean,
): string | undefined {
  if (isTrue(predicate)) return isAdmin ? undefined : 'it admits everybody to all rows';
  const column = comparedColumn(predicate);
  const shapes = TENANT_ID_TYPES.map((type) =>
    canonical(parsed(tenantPredicateSql(column ?? tenantColumn, currentTenantSql(type, tenantSetting)))),
  );
  if (column !== undefined && shapes.includes(canonical(predicate))) {
    return isTenantTable(table) && column !== tenantColumn
      ? `it compares "${column}", and the tenant column is "${tenantColumn}"`
      : undefined;
  }
  return deviation(predicate, tenantSetting);
}

/** The deviation with the worst effect, in words. */
function deviation(predicate: Node, tenantSetting: string): string {
  if (nodesOf(predicate, 'CaseExpr').length > 0)
    return 'a CASE cannot become an index condition: every query reads every row';
  if (nodesOf(predicate, 'BoolExpr').some(({ boolop }) => boolop === 'OR_EXPR')) {
    return 'an OR cannot become an index condition, and admits whoever sets what its other side asks for';
  }
  const settings = nodesOf(predicate, 'FuncCall').filter(
    ({ funcname }) => names(funcname as Node[]).at(-1) === 'current_setting',
  );
  if (settings.length === 0) return 'it does not ask for the tenant setting';
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

/** The column on the left of an equality. */
function comparedColumn(predicate: Node): string | undefined {
  if (!('A_Expr' in predicate)) return undefined;
  const { lexpr } = predicate.A_Expr;
  return lexpr && 'ColumnRef' in lexpr ? names(lexpr.ColumnRef.fields).at(-1) : undefined;
}

function parsed(predicate: string): unknown {
  const [first] = parseSync(`SELECT ${predicate}`).stmts ?? [];
  const select = first?.stmt && 'SelectStmt' in first.stmt ? first.stmt.SelectStmt : undefined;
  const [target] = select?.targetList ?? [];
  return target && 'ResTarget' in target ? target.ResTarget.val : undefined;
}

/** The same text for predicates that differ in places and in the qualification of columns only. */
function canonical(tree: unknown): string {
  return JSON.stringify(tree, (key, value: unknown) => {
    if (key === 'location') return undefined;
    return key === 'fields' && Array.isArray(value) ? value.slice(-1) : value;
  });
}

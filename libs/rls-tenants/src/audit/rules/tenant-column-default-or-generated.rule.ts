import type { CatalogColumn } from '../catalog.js';
import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogRelation } from '../database-catalog.js';
import type { Severity } from '../finding.js';
import { isNode, type PolicyExpression, type Tree } from '../policy-expression.js';
import { defineDatabaseRule } from '../rule.js';
import { defaultToTenant } from '../table-fixes.js';

/** RLS045: a default of the tenant column decides whose row it is where nobody says it. */
export const tenantColumnDefaultOrGenerated = defineDatabaseRule({
  id: 'RLS045',
  title: 'tenant-column-default-or-generated',
  severity: 'info',
  reason:
    'A tenant column that is filled with anything but the current tenant gives rows that name no tenant to somebody else.',
  *find(audit) {
    for (const relation of audit.protectedRelations) {
      const column = relation.columns.get(audit.tenantColumnOf(relation) ?? '');
      const problem = column && problemOf(audit, relation, column);
      if (!problem) continue;
      yield {
        ...problem,
        object: `column "${column.name}" of table "${audit.nameOf(relation)}"`,
        fix: defaultToTenant(audit, relation, column),
      };
    }
  },
});

/** Without a default an insert that names no tenant fails, which is as good. */
function problemOf(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  column: CatalogColumn,
): { severity: Severity; message: string } | undefined {
  if (column.identity !== null)
    return { severity: 'error', message: 'An identity numbers the rows: the next number is some tenant.' };
  if (column.default === null) return undefined;
  const expression = audit.expression(column.default, relation);
  if (column.generated && expression.columns.size > 0)
    return {
      severity: 'info',
      message: `It is generated from ${[...expression.columns].map((name) => `"${name}"`).join(', ')}: whoever writes those decides the tenant, and only the policy's WITH CHECK is in the way.`,
    };
  if (expression.unreadable === undefined && expression.constant === null) return undefined;
  if (!audit.readsTenant(expression))
    return { severity: 'error', message: `Its default ${column.default} is not the current tenant.` };
  return hasFallback(expression)
    ? {
        severity: 'error',
        message: `Its default ${column.default} is something else where there is no tenant.`,
      }
    : undefined;
}

/** COALESCE with more than '' and NULL behind the setting, or CASE. */
function hasFallback({ hasCase, tree }: PolicyExpression): boolean {
  return hasCase || coalescesOf(tree).some((args) => args.slice(1).some((one) => !isNothing(one)));
}

function coalescesOf(tree: Tree): Tree[][] {
  if (Array.isArray(tree)) return tree.flatMap(coalescesOf);
  if (!isNode(tree)) return [];
  const own = isNode(tree.CoalesceExpr) ? [tree.CoalesceExpr.args as Tree[]] : [];
  return [...own, ...Object.values(tree).flatMap(coalescesOf)];
}

/** `NULL` or `''`, casts aside. */
function isNothing(tree: Tree): boolean {
  if (!isNode(tree)) return false;
  if (isNode(tree.TypeCast)) return isNothing(tree.TypeCast.arg);
  const { A_Const: constant } = tree;
  if (!isNode(constant)) return false;
  // The JSON of protocol buffers leaves out an empty text.
  return constant.isnull === true || (isNode(constant.sval) && !constant.sval.sval);
}

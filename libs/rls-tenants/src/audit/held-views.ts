import { parseSync } from 'libpg-query';
import type { DatabaseAudit } from './database-audit.js';
import type { CatalogRelation } from './database-catalog.js';
import { isNode, type Tree, type TreeNode } from './policy-expression.js';

/** The view's own query names the relation. */
export function readsDirectly(
  audit: DatabaseAudit,
  view: CatalogRelation,
  relation: CatalogRelation,
): boolean {
  return (
    view.kind === 'v' &&
    audit.rewritesOf(view).some(({ isView, relations }) => isView && relations.includes(relation.oid))
  );
}

/**
 * The view does what a policy would: `SELECT … FROM relation WHERE tenant column = tenant`, with security_barrier,
 * without which a function of the reader's own is evaluated before the view's WHERE. Whatever is more than that is not
 * taken for it.
 */
export function holdsItself(
  audit: DatabaseAudit,
  view: CatalogRelation,
  relation: CatalogRelation,
  tenantColumn: string,
): boolean {
  if (!view.options.some((option) => /^security_barrier=(true|on|yes|1)$/i.test(option))) return false;
  const query = audit.rewritesOf(view).find(({ isView }) => isView);
  const where = query && onlyWhere(query.definition);
  return where !== undefined && audit.holdsToTenant(audit.expression(where, relation), tenantColumn);
}

/** The WHERE of a query that reads one relation and does nothing else. The text is PostgreSQL's own. */
function onlyWhere(definition: string): string | undefined {
  const select = selectOf(definition);
  if (!isNode(select) || !Array.isArray(select.fromClause) || select.fromClause.length !== 1)
    return undefined;
  const allowed = ['targetList', 'fromClause', 'whereClause', 'limitOption', 'op'];
  if (Object.keys(select).some((key) => !allowed.includes(key))) return undefined;
  const [from] = select.fromClause;
  if (!isNode(from) || !isNode(from.RangeVar) || from.RangeVar.alias !== undefined) return undefined;
  const rest = Buffer.from(definition).subarray(Number(from.RangeVar.location)).toString();
  return /\sWHERE\s(.*?);?\s*$/s.exec(rest)?.[1];
}

/** Undefined for what the parser, of one version of PostgreSQL, does not know: such a view holds nothing. */
function selectOf(definition: string): Tree {
  try {
    const { stmts = [] } = parseSync(definition);
    return (stmts[0]?.stmt as unknown as TreeNode | undefined)?.SelectStmt;
  } catch {
    return undefined;
  }
}

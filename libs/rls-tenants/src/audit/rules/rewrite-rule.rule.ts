import { parseSync } from 'libpg-query';
import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogRelation, CatalogRewrite } from '../database-catalog.js';
import { seesEveryTenant } from '../effective-role.js';
import { isNode, type Tree, type TreeNode } from '../policy-expression.js';
import { defineDatabaseRule } from '../rule.js';
import { dropRule } from '../side-door-fixes.js';

/** RLS024: what a rewrite rule reaches is checked as the owner of the rule's relation. */
export const rewriteRule = defineDatabaseRule({
  id: 'RLS024',
  title: 'rewrite-rule',
  severity: 'error',
  reason:
    'What a rule (CREATE RULE) reads and writes is checked as the owner of its table, not as whoever runs the statement.',
  *find(audit) {
    for (const relation of audit.database.relations) {
      if (relation.extension !== null) continue;
      for (const rule of audit.rewritesOf(relation)) {
        if (rule.isView || rule.enabled === 'D' || !audit.appMay(relation, rule.event)) continue;
        const why = openRead(audit, relation, rule);
        if (why === undefined) continue;
        yield {
          object: `rule "${rule.name}" on ${relation.kind === 'v' ? 'view' : 'table'} "${audit.nameOf(relation)}"`,
          message: `Every ${rule.event} of the app role runs it as "${relation.owner}": ${why}.`,
          fix: `-- A trigger does the same as whoever runs the statement.\n${dropRule(audit, rule.name, relation)}`,
        };
      }
    }
  },
});

function openRead(audit: DatabaseAudit, on: CatalogRelation, rule: CatalogRewrite): string | undefined {
  const named = relationsOf(rule.definition);
  if (named === undefined) return 'what it reads could not be told';
  for (const [schema, name] of named) {
    const relation = audit.database.relations.find((one) => one.schema === schema && one.name === name);
    if (!relation) continue;
    const reads = [{ relation, checkedAs: on.owner }, ...audit.readsOf(relation)];
    for (const { relation: table, checkedAs } of reads) {
      if (!audit.tenantTable(table) || (!table.rlsEnabled && audit.appMay(table, 'SELECT'))) continue;
      const why = seesEveryTenant(audit, checkedAs ?? on.owner, table);
      if (why !== undefined) return `it names "${audit.nameOf(table)}", and ${why}`;
    }
  }
  return undefined;
}

/** The relations that a rule's condition and actions name; NEW and OLD, and the rule's own event, are none of them. */
function relationsOf(definition: string): [schema: string, name: string][] | undefined {
  try {
    const statement = parseSync(definition).stmts?.[0]?.stmt as unknown as TreeNode | undefined;
    if (!isNode(statement?.RuleStmt)) return undefined;
    const { relation: _event, ...rest } = statement.RuleStmt;
    return rangeVars(rest);
  } catch {
    return undefined;
  }
}

/** The catalog was read under a search path of pg_catalog: every other name has its schema. */
function rangeVars(tree: Tree): [string, string][] {
  if (Array.isArray(tree)) return tree.flatMap(rangeVars);
  if (!isNode(tree)) return [];
  const own: [string, string][] =
    typeof tree.schemaname === 'string' && typeof tree.relname === 'string'
      ? [[tree.schemaname, tree.relname]]
      : [];
  return [...own, ...Object.values(tree).flatMap(rangeVars)];
}

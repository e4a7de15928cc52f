import type { DatabaseAudit } from '../database-audit.js';
import type { CatalogIndex, CatalogIndexKey, CatalogRelation } from '../database-catalog.js';
import { isNode, type Tree } from '../policy-expression.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS073: an operator that is not leakproof is asked after the policy only, so that no index answers it. */
export const nonLeakproofIndexUse = defineDatabaseRule({
  id: 'RLS073',
  title: 'non-leakproof-index-use',
  severity: 'warning',
  reason:
    'Behind a policy PostgreSQL asks an index leakproof operators only. Those of enum, numeric, array, jsonb, text search and pattern indexes are not.',
  *find(audit) {
    for (const relation of audit.protectedRelations) {
      for (const index of audit.indexesOf(relation)) {
        // What is unique is there for its constraint; a partition's index is its parent's.
        if (!index.valid || index.unique || index.exclusion || index.isPartition) continue;
        const useless = index.keys.filter((key) => !isLeakproof(audit, relation, index, key));
        if (useless.length === 0) continue;
        const keys = useless.map(({ column, expression }) => column ?? expression).join(', ');
        yield {
          object: `index "${relation.schema}.${index.name}"`,
          message: `On table "${audit.nameOf(relation)}" it never answers a condition on ${keys} for the app role: the operators are not leakproof.`,
          fix: adviceFor(index, useless),
        };
      }
    }
  },
});

function isLeakproof(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  { method }: CatalogIndex,
  key: CatalogIndexKey,
): boolean {
  // The pattern classes are there for LIKE, which is not among their operators and is not leakproof.
  if (key.operatorClass.endsWith('_pattern_ops')) return false;
  const operators = method === 'btree' || method === 'hash' ? key.equalityLeakproof : key.leakproof;
  // Of PostgreSQL's own functions and operators that make an index's expression, hardly any is leakproof.
  return operators && (key.expression === null || !calls(audit.expression(key.expression, relation).tree));
}

function calls(tree: Tree): boolean {
  if (Array.isArray(tree)) return tree.some(calls);
  return isNode(tree) && ('FuncCall' in tree || 'A_Expr' in tree || Object.values(tree).some(calls));
}

function adviceFor({ method }: CatalogIndex, useless: readonly CatalogIndexKey[]): string {
  const alternatives =
    method === 'btree' && useless.every(({ column }) => column !== null)
      ? 'a partial index, whose WHERE names the value, is used; so is an index on a varchar column with a CHECK instead of an enum'
      : 'keep what is searched for in a column of a type that compares leakproof (text, uuid, integer, date), and index that';
  return `-- Begin with the tenant column, so that a search reads one tenant’s rows, and accept it. Or: ${alternatives}.`;
}

import type { CatalogPolicy } from '../catalog.js';
import type { DatabaseAudit, PolicyCommand } from '../database-audit.js';
import type { CatalogRelation } from '../database-catalog.js';
import { expectedPredicate } from '../expected-policies.js';
import { alterPolicy } from '../fix-sql.js';
import { conjunctsOf, isNode, type PolicyExpression, type Tree } from '../policy-expression.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS071: only `tenant column = value`, alone or in an outermost AND, becomes an index condition. */
export const predicateNotIndexable = defineDatabaseRule({
  id: 'RLS071',
  title: 'predicate-not-indexable',
  severity: 'error',
  reason:
    'Under CASE, OR, a cast or a function around the tenant column no index serves the policy: every statement reads every tenant’s rows.',
  *find(audit) {
    for (const relation of audit.protectedRelations) {
      const tenantColumn = audit.tenantColumnOf(relation);
      if (tenantColumn === undefined) continue;
      for (const policy of audit.policiesForApp(relation)) {
        const expression = scanned(audit, relation, policy);
        if (!expression || !policy.permissive || isIndexable(expression, relation, tenantColumn)) continue;
        if (
          scanCommands(policy).every((command) => hasIndexableFloor(audit, relation, command, tenantColumn))
        )
          continue;
        yield {
          object: `policy "${policy.name}" on table "${audit.nameOf(relation)}"`,
          message: `No index condition comes of it: USING ${expression.text}.`,
          fix: alterPolicy(audit.quoted(relation), policy, expectedPredicate(audit.tenantTable(relation)!)),
        };
      }
    }
  },
});

/** USING, where it asks for the tenant at all: what does not is RLS007's. */
function scanned(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  policy: CatalogPolicy,
): PolicyExpression | undefined {
  const using = audit.clausesOf(relation, policy).find(({ clause }) => clause === 'USING')?.expression;
  return using && audit.readsTenant(using) ? using : undefined;
}

function scanCommands({ command }: CatalogPolicy): PolicyCommand[] {
  return command === 'ALL' ? ['SELECT', 'UPDATE', 'DELETE'] : [command];
}

/** A restrictive policy is joined by AND, so that its predicate can be the index condition. */
function hasIndexableFloor(
  audit: DatabaseAudit,
  relation: CatalogRelation,
  command: PolicyCommand,
  tenantColumn: string,
): boolean {
  return audit.policiesForApp(relation, command).some((policy) => {
    const using = policy.permissive ? undefined : scanned(audit, relation, policy);
    return using !== undefined && isIndexable(using, relation, tenantColumn);
  });
}

function isIndexable({ tree }: PolicyExpression, relation: CatalogRelation, tenantColumn: string): boolean {
  return conjunctsOf(tree).some((conjunct) => {
    const operation = isNode(conjunct) ? conjunct.A_Expr : undefined;
    if (!isNode(operation) || !isEquality(operation.kind, operation.name)) return false;
    const sides = [operation.lexpr, operation.rexpr].map((side) => columnOf(side, relation));
    return sides.includes(tenantColumn) && sides.includes(undefined);
  });
}

/** `=`, and `= ANY (…)`, which an index answers value by value. */
function isEquality(kind: Tree, name: Tree): boolean {
  const operator = JSON.stringify(name) === JSON.stringify([{ String: { sval: '=' } }]);
  return operator && (kind === 'AEXPR_OP' || kind === 'AEXPR_OP_ANY' || kind === 'AEXPR_IN');
}

/** The column that stands alone. A cast to text changes nothing of a varchar, nor does any of a domain. */
function columnOf(side: Tree, relation: CatalogRelation): string | undefined {
  if (!isNode(side)) return undefined;
  if (isNode(side.ColumnRef)) {
    const fields = side.ColumnRef.fields as { String?: { sval: string } }[];
    return fields.at(-1)?.String?.sval;
  }
  if (!isNode(side.TypeCast)) return undefined;
  const name = columnOf(side.TypeCast.arg, relation);
  const column = name === undefined ? undefined : relation.columns.get(name);
  return column?.type === 'character varying' || column?.typeKind === 'd' ? name : undefined;
}

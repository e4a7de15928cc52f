import type { CatalogRelation } from '../database-catalog.js';
import type { DatabaseAudit } from '../database-audit.js';
import { admittingClauses, judgedPolicies, outcome, quoteClauses } from '../policy-judgement.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS051: what a custom setting reads after its first use is not NULL but an empty text. */
export const emptyStringNotHandled = defineDatabaseRule({
  id: 'RLS051',
  title: 'empty-string-not-handled',
  severity: 'error',
  reason:
    "Once used, a custom setting reads '' and not NULL: without NULLIF its cast fails every statement, and as a text it matches rows whose tenant is ''.",
  *find(audit) {
    for (const judged of judgedPolicies(audit)) {
      const { relation, clauses } = judged;
      const failing = clauses.filter((one) => outcome(audit, relation, one, { setting: 'empty' }).castsEmpty);
      const matching = admitsEmptyTenants(audit, relation)
        ? admittingClauses(audit, judged, { setting: 'empty', emptyTenants: true }).filter(
            (one) => !admittingClauses(audit, judged, { setting: 'empty' }).includes(one),
          )
        : [];
      if (failing.length + matching.length === 0) continue;
      yield {
        object: judged.object,
        message: `${failing.length > 0 ? "It casts '' to a type that has no such value" : "It takes '' for a tenant"}: ${quoteClauses(failing.length > 0 ? failing : matching)}.`,
        fix: judged.fix,
      };
    }
  },
});

/** A text column without a check that keeps `''` out. */
function admitsEmptyTenants(audit: DatabaseAudit, relation: CatalogRelation): boolean {
  const column = audit.tenantColumnOf(relation);
  if (column === undefined || !TEXTS.has(relation.columns.get(column)!.type)) return false;
  return !audit
    .constraintsOf(relation)
    .filter(({ type, validated }) => type === 'c' && validated)
    .map(({ definition }) => audit.expression(definition.replace(/^CHECK /, ''), relation))
    .some(({ comparisons }) =>
      comparisons.some(
        (one) => one.conjunct && one.column === column && one.operator === '<>' && one.constantText === '',
      ),
    );
}

const TEXTS = new Set(['text', 'character varying', 'character']);

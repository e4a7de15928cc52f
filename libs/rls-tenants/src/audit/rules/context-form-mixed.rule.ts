import { quoteLiteral } from '../../policies/index.js';
import type { DatabaseAudit, PolicyClause } from '../database-audit.js';
import type { CatalogRelation } from '../database-catalog.js';
import { alterClauses, canonicalPredicate } from '../performance-fixes.js';
import type { CatalogPolicy } from '../catalog.js';
import { defineDatabaseRule } from '../rule.js';

/** RLS058: `current_setting(name)` and `current_setting(name, true)` side by side. */
export const contextFormMixed = defineDatabaseRule({
  id: 'RLS058',
  title: 'context-form-mixed',
  severity: 'warning',
  reason:
    'Without a tenant some policies raise an error and others show no row, and which of them depends on what the connection did before.',
  *find(audit) {
    const reading = audit.protectedRelations.flatMap((relation) =>
      audit
        .policiesForApp(relation)
        .map((policy) => ({ relation, policy, forms: formsOf(audit, relation, policy) })),
    );
    if (!reading.some(({ forms }) => forms.has(true))) return;
    for (const { relation, policy, forms } of reading) {
      if (!forms.has(false)) continue;
      yield {
        object: `policy "${policy.name}" on table "${audit.nameOf(relation)}"`,
        message:
          'It reads the tenant setting without the second argument, as others do not: on a connection that never set it, it raises; on one that did, it does not.',
        fix:
          alterClauses(audit, relation, policy, (clause) => tolerant(audit, relation, clause)) ??
          "-- Read it as NULLIF(current_setting('…', true), '').",
      };
    }
  },
});

/** Whether it reads the tenant setting with `missing_ok`, without, or in both ways. */
function formsOf(audit: DatabaseAudit, relation: CatalogRelation, policy: CatalogPolicy): Set<boolean> {
  const reads = audit.clausesOf(relation, policy).flatMap(({ expression }) => expression.settings);
  return new Set(reads.filter((read) => audit.isTenantSetting(read)).map(({ missingOk }) => missingOk));
}

/** The clause with the second argument. PostgreSQL prints a call in one way only. */
function tolerant(audit: DatabaseAudit, relation: CatalogRelation, clause: PolicyClause): string | undefined {
  const canonical = canonicalPredicate(audit, relation, clause);
  if (canonical !== undefined) return canonical;
  const { text, settings } = clause.expression;
  const changed = settings.reduce((sql, { name }) => {
    const argument = `${quoteLiteral(name ?? '')}::text`;
    return sql.replaceAll(`current_setting(${argument})`, `NULLIF(current_setting(${argument}, true), '')`);
  }, text);
  return audit.expression(changed, relation).settings.every(({ missingOk }) => missingOk)
    ? changed
    : undefined;
}

import type { CatalogPolicy } from '../catalog.js';
import { expectedPredicate, isExpectedName, predicateScope } from '../expected-policies.js';
import { dropPolicy } from '../fix-sql.js';
import { widening } from '../predicate.js';
import { defineRule, existingTables } from '../rule.js';

/** RLS009: permissive policies are joined by OR, so one more can only show more rows. */
export const permissiveWidening = defineRule({
  id: 'RLS009',
  title: 'permissive-widening',
  severity: 'error',
  reason: 'Permissive policies are joined by OR: the widest one that applies to the app role decides.',
  *find(catalog, context) {
    for (const table of existingTables(context)) {
      // Nobody said what their predicate must be: RLS007 and RLS010 judge what such policies admit.
      if (table.recognised) continue;
      const scope = predicateScope(table, catalog);
      const expected = expectedPredicate(table);
      for (const policy of table.live.policies) {
        if (!policy.permissive || !policy.appliesToAppRole || isExpectedName(table, policy.name)) continue;
        const wider = expressions(policy)
          .map(({ clause, text }) => ({ clause, difference: widening(text, expected, scope) }))
          .filter(({ difference }) => difference !== undefined);
        if (wider.length === 0) continue;
        yield {
          object: `policy "${policy.name}" on table "${table.path}"`,
          message: `It admits the app role to rows for ${policy.command} without holding them to the tenant: ${wider
            .map(({ clause, difference }) => `${clause}: ${difference}`)
            .join('; ')}.`,
          fix: `${dropPolicy(table.path, policy.name)}\n-- Or create it AS RESTRICTIVE, so that it narrows instead.`,
        };
      }
    }
  },
});

/** The expressions PostgreSQL evaluates: USING stands in for a missing WITH CHECK, and INSERT has no USING. */
function expressions({
  command,
  using,
  withCheck,
}: CatalogPolicy): { clause: string; text: string | null }[] {
  const given = [
    { clause: 'USING', text: using },
    { clause: 'WITH CHECK', text: withCheck },
  ].filter(({ text }) => text !== null);
  // Neither: PostgreSQL then admits nothing.
  return command === 'INSERT' ? given.filter(({ clause }) => clause === 'WITH CHECK') : given;
}

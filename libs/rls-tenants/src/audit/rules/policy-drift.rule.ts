import type { Catalog, CatalogPolicy } from '../catalog.js';
import { expectedPolicies, predicateScope, type ExpectedPolicy } from '../expected-policies.js';
import { replacePolicy } from '../fix-sql.js';
import { predicateDifference } from '../predicate.js';
import { defineRule, existingTables, nothingDeclared, type ExistingTable } from '../rule.js';

/** RLS080: what is in the database is not what the library generates, so nothing else said about it holds. */
export const policyDrift = defineRule({
  id: 'RLS080',
  title: 'policy-drift',
  severity: 'error',
  reason:
    'A policy that is missing or differs from what the library generates protects something else than declared.',
  skip: (_catalog, context) => nothingDeclared(context),
  *find(catalog, context) {
    for (const table of existingTables(context)) {
      if (table.recognised) continue;
      for (const expected of expectedPolicies(table)) {
        const live = table.live.policies.find(({ name }) => name === expected.name);
        const differences = live ? differencesOf(live, expected, table, catalog) : ['it does not exist'];
        if (differences.length === 0) continue;
        yield {
          object: `policy "${expected.name}" on table "${table.path}"`,
          message: `${capitalize(differences.join('; '))}. Expected: ${clauseOf(expected)} (${expected.predicate}) for ${expected.command ?? 'ALL'}, to ${expected.role ?? 'PUBLIC'}.`,
          fix: replacePolicy(table.path, expected, live !== undefined, roleIsMissing(expected, catalog)),
        };
      }
    }
  },
});

/** How a policy differs from the expected one, in words; nothing if PostgreSQL evaluates both in the same way. */
export function differencesOf(
  live: CatalogPolicy,
  expected: ExpectedPolicy,
  table: ExistingTable,
  catalog: Catalog,
): string[] {
  const differences: string[] = [];
  const roles = live.roles.join(', ');
  if (roles !== (expected.role ?? 'public')) differences.push(`it applies to ${roles}`);
  const { command = 'ALL' } = expected;
  if (live.command !== command)
    differences.push(`it is for ${live.command}${command === 'ALL' ? ' only' : `, not for ${command}`}`);
  if (live.usesOwnCode)
    differences.push("it uses functions, operators or types that are not PostgreSQL's own");
  if (!live.permissive)
    differences.push('it is restrictive, and a restrictive policy admits nothing by itself');

  const scope = predicateScope(table, catalog);
  const using = command === 'INSERT' ? undefined : predicateDifference(live.using, expected.predicate, scope);
  if (using !== undefined) differences.push(`USING: ${using}`);
  // PostgreSQL checks written rows against USING where there is no WITH CHECK.
  const standsIn = live.withCheck === null && command !== 'INSERT';
  const check = standsIn ? undefined : predicateDifference(live.withCheck, expected.predicate, scope);
  if (check !== undefined) differences.push(`WITH CHECK: ${check}`);
  return differences;
}

function clauseOf({ command }: ExpectedPolicy): string {
  return command === 'INSERT' ? 'WITH CHECK' : 'USING';
}

function roleIsMissing({ role }: ExpectedPolicy, { roles }: Catalog): boolean {
  return role !== undefined && !roles.has(role);
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
